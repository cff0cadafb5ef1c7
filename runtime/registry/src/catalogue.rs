//! What decides: names and versions against digests. No files, no clock.

use pelton_api::manifest::{PluginManifest, PluginRef};
use std::collections::BTreeMap;

/// Every plugin by name and version.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    plugins: BTreeMap<PluginRef, PluginManifest>,
}

/// What is to be done about an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The name and version are free.
    Add,
    /// The same bytes are there already, under this manifest: nothing is to be done.
    AlreadyThere(Box<PluginManifest>),
    /// Other bytes are there. What was published does not change.
    Taken {
        /// Digest of the bytes that are there.
        existing: String,
    },
}

impl Catalogue {
    /// What is to be done about bytes with that digest under that name and version.
    pub fn decide(&self, plugin: &PluginRef, digest: &str) -> Decision {
        match self.plugins.get(plugin) {
            None => Decision::Add,
            Some(manifest) if manifest.digest == digest => Decision::AlreadyThere(Box::new(manifest.clone())),
            Some(manifest) => Decision::Taken { existing: manifest.digest.clone() },
        }
    }

    /// Takes a plugin in. What was decided before still holds: an entry that is there stays as it is.
    pub fn insert(&mut self, manifest: PluginManifest) {
        self.plugins.entry(manifest.plugin.clone()).or_insert(manifest);
    }

    /// Takes a plugin out; its manifest, if it was there.
    pub fn remove(&mut self, plugin: &PluginRef) -> Option<PluginManifest> {
        self.plugins.remove(plugin)
    }

    /// Whether a plugin has the bytes with that digest.
    pub fn has_bytes(&self, digest: &str) -> bool {
        self.plugins.values().any(|manifest| manifest.digest == digest)
    }

    /// The plugin of that name and version.
    pub fn get(&self, plugin: &PluginRef) -> Option<&PluginManifest> {
        self.plugins.get(plugin)
    }

    /// All plugins, by name and version.
    pub fn iter(&self) -> impl Iterator<Item = &PluginManifest> {
        self.plugins.values()
    }

    /// The highest version of a name, for an error that says what there is.
    pub fn latest(&self, name: &str) -> Option<&PluginManifest> {
        self.plugins
            .values()
            .filter(|manifest| manifest.plugin.name == name)
            .max_by_key(|manifest| manifest.plugin.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_api::manifest::{Abi, ModuleFacts, PluginKind, Provenance};

    fn manifest(plugin: &str, digest: &str) -> PluginManifest {
        PluginManifest {
            plugin: plugin.parse().expect("the test names a plugin well"),
            facts: ModuleFacts {
                kind: PluginKind::Transform,
                interface: "pelton:plugin/transform@0.1.0".to_owned(),
                abi: Abi::Component,
                imports: Vec::new(),
                wants: None,
                reads: None,
            },
            digest: digest.to_owned(),
            size_bytes: 1,
            uploaded_at_ms: 0,
            uploaded_by: None,
            provenance: Provenance::default(),
            signed_by: None,
        }
    }

    #[test]
    fn a_version_is_published_once() {
        let mut catalogue = Catalogue::default();
        let first = manifest("a@1", "11");
        assert_eq!(catalogue.decide(&first.plugin, "11"), Decision::Add);
        catalogue.insert(first.clone());
        assert_eq!(catalogue.decide(&first.plugin, "11"), Decision::AlreadyThere(Box::new(first.clone())));
        assert_eq!(catalogue.decide(&first.plugin, "22"), Decision::Taken { existing: "11".to_owned() });
        assert_eq!(catalogue.decide(&manifest("a@2", "22").plugin, "22"), Decision::Add);
        catalogue.insert(manifest("a@1", "22"));
        assert_eq!(catalogue.get(&first.plugin), Some(&first));
    }

    #[test]
    fn a_version_that_was_taken_out_is_free_again() {
        let mut catalogue = Catalogue::default();
        catalogue.insert(manifest("a@1", "11"));
        catalogue.insert(manifest("b@1", "11"));
        let plugin = "a@1".parse().unwrap();
        assert_eq!(catalogue.remove(&plugin), Some(manifest("a@1", "11")));
        assert_eq!((catalogue.remove(&plugin), catalogue.has_bytes("11")), (None, true));
        assert_eq!(catalogue.decide(&plugin, "22"), Decision::Add);
        catalogue.remove(&"b@1".parse().unwrap());
        assert!(!catalogue.has_bytes("11"));
    }

    #[test]
    fn the_latest_version_is_the_highest_number() {
        let mut catalogue = Catalogue::default();
        for plugin in ["a@2", "a@10", "b@11"] {
            catalogue.insert(manifest(plugin, "11"));
        }
        assert_eq!(catalogue.latest("a").map(|found| found.plugin.version), Some(10));
        assert_eq!(catalogue.latest("c"), None);
    }
}

use super::*;
use std::collections::BTreeMap;

#[test]
fn every_language_of_the_command_line_has_a_template() {
    let offered: BTreeSet<&str> = TEMPLATES.iter().map(|template| template.language).collect();
    for language in Language::value_variants() {
        let name = language.to_possible_value().unwrap();
        assert!(offered.contains(name.get_name()), "sdk/{}/template/template.json is missing", name.get_name());
    }
    assert_eq!(offered.len(), Language::value_variants().len(), "{offered:?}");
}

#[test]
fn a_project_of_each_template_and_world_is_whole() {
    for template in TEMPLATES {
        assert!(!worlds(template).is_empty(), "{}: no file belongs to a world", template.language);
        for text in [template.build, template.test, template.module, template.needs] {
            assert!(!text.is_empty(), "{}: template.json lacks a field", template.language);
        }
        for world in World::ALL.into_iter().filter(|world| worlds(template).contains(world.name())) {
            let words = Words::new("my-first_plugin", world).unwrap();
            let files: BTreeMap<PathBuf, String> = render(template, &words).unwrap().into_iter().collect();
            let vendored: BTreeSet<&str> = template.vendored.iter().map(|file| file.path).collect();
            for (path, text) in &files {
                let own = !vendored.contains(path.to_str().unwrap());
                assert!(!(own && text.contains("{{name}}")), "{} {}", template.language, path.display());
                assert!(!own || !text.contains("{{Type}}"), "{} {}", template.language, path.display());
            }
            let readme = files.get(Path::new("README.md")).expect("a project has a README.md");
            assert!(
                readme.contains("pelton plugin upload"),
                "{}: the README does not say how to upload",
                template.language
            );
        }
    }
}

#[test]
fn a_project_is_written_once_and_never_over_another() {
    let dir = tempfile::tempdir().unwrap();
    let new = || New {
        name: "mask".to_owned(),
        lang: Language::Rust,
        world: World::Transform,
        dir: dir.path().to_owned(),
        json: true,
    };
    new().run().unwrap();
    let library = fs::read_to_string(dir.path().join("mask/src/lib.rs")).unwrap();
    assert!(library.contains("export_transform!(Mask)"), "{library}");
    assert!(dir.path().join("mask/vendor/wit/plugin.wit").is_file());
    fs::write(dir.path().join("mask/src/lib.rs"), "mine").unwrap();
    assert!(new().run().unwrap_err().to_string().contains("nothing is overwritten"));
    assert_eq!(fs::read_to_string(dir.path().join("mask/src/lib.rs")).unwrap(), "mine");
}

#[test]
fn names_become_words_and_bad_ones_are_refused() {
    let words = Words::new("my-first_plugin", World::Interceptor).unwrap();
    assert_eq!(
        words.replace("{{name}} {{ident}} {{Type}} {{world}}"),
        "my-first_plugin my_first_plugin MyFirstPlugin interceptor"
    );
    for bad in ["", "1a", "a/b", "../a", "a b", "-a"] {
        assert!(Words::new(bad, World::Interceptor).is_err(), "{bad}");
    }
    for bad in ["../a", "/a", "a/../../b"] {
        assert!(inside(bad).is_err(), "{bad}");
    }
}

/// The vendored crates take their dependencies from the new project's workspace, so it must name them all, in the
/// versions that this workspace builds with.
#[test]
fn a_rust_project_names_what_the_sdk_depends_on() {
    let template = TEMPLATES.iter().find(|template| template.language == "rust").unwrap();
    let words = Words::new("p", World::Transform).unwrap();
    let files: BTreeMap<PathBuf, String> = render(template, &words).unwrap().into_iter().collect();
    let manifest = |path: &str| files[Path::new(path)].parse::<toml::Table>().unwrap();
    let project = manifest("Cargo.toml");
    let root = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml")).unwrap();
    let root = root.parse::<toml::Table>().unwrap();
    let version = |table: &toml::Table, name: &str| {
        let entry = table["workspace"]["dependencies"].get(name)?;
        entry.get("version").or(Some(entry)).and_then(toml::Value::as_str).map(str::to_owned)
    };
    for member in ["vendor/rust/Cargo.toml", "vendor/record/Cargo.toml"] {
        let member = manifest(member);
        let named = ["dependencies", "dev-dependencies"].into_iter().filter_map(|key| member.get(key)?.as_table());
        for name in named.flat_map(|table| table.keys()).filter(|name| !name.starts_with("pelton-")) {
            assert_eq!(version(&project, name), version(&root, name), "{name}");
            assert!(version(&project, name).is_some(), "{name} is missing in sdk/rust/template/Cargo.toml.in");
        }
        for (target, dependencies) in member.get("target").and_then(|t| t.as_table()).into_iter().flatten() {
            let tables = dependencies.as_table().into_iter().flatten().filter_map(|(_, table)| table.as_table());
            for name in tables.flat_map(|table| table.keys()).filter(|name| !name.starts_with("pelton-")) {
                assert_eq!(version(&project, name), version(&root, name), "{name} for {target}");
            }
        }
    }
}

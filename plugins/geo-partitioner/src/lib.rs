//! Records of one region of the world go to the partitions of that region, so that they lie and are read near the people
//! that they are about.
//!
//! A record's region is named by a header or a field of its JSON value, or it is the one whose centre is nearest to a position
//! in the value, along the great circle. Where none of that tells, it is the region `otherwise`; without one the record
//! may lie in any region's partitions.
//!
//! A region has partitions by their numbers, or a share of all that there are: shares 2 and 1 of six partitions are four and
//! two. Within a region the key decides, by murmur2, or the value where there is no key.
//!
//! The answer depends on the record, the configuration and the number of partitions alone: more partitions move records
//! of regions with shares, as they move records of any hash.

mod globe;
mod regions;
#[cfg(test)]
mod tests;

use globe::Position;
use pelton_sdk::json::{self, Path};
use pelton_sdk::partition::murmur2;
use pelton_sdk::prelude::*;
use regions::{Region, Regions};

/// The plugin.
pub struct GeoPartitioner {
    regions: Regions,
    region: Option<Source>,
    position: Option<Fields>,
    otherwise: Option<usize>,
    /// For the number of partitions asked about last, those of each region.
    split: (i32, Vec<Vec<i32>>),
}

/// Its configuration.
#[derive(Debug, Deserialize)]
#[serde(crate = "pelton_sdk::serde", deny_unknown_fields)]
pub struct Config {
    regions: Vec<Region>,
    /// Where a record names its region: `{"header": "NAME"}` or `{"field": "PATH"}`.
    #[serde(default)]
    region: Option<Source>,
    /// Where a record's value holds a position: `{"lat": "PATH", "lon": "PATH"}`.
    #[serde(default)]
    position: Option<Fields>,
    /// The region of records that do not tell.
    #[serde(default)]
    otherwise: Option<String>,
}

/// Where a record names its region.
#[derive(Debug, Deserialize)]
#[serde(crate = "pelton_sdk::serde", rename_all = "lowercase")]
enum Source {
    Header(String),
    Field(Path),
}

/// Where a record's value holds a position, in degrees.
#[derive(Debug, Deserialize)]
#[serde(crate = "pelton_sdk::serde", deny_unknown_fields)]
struct Fields {
    lat: Path,
    lon: Path,
}

impl Partitioner for GeoPartitioner {
    type Config = Config;

    fn reads() -> Parts {
        Parts::none().key().value().headers()
    }

    fn configure(config: Config) -> Result<Self, String> {
        let regions = Regions::new(config.regions)?;
        if config.region.is_none() && config.position.is_none() {
            return Err("say where a record tells its region: `region`, `position` or both".to_owned());
        }
        if config.position.is_some() && !regions.have_centres() {
            return Err("`position` needs a `lat` and a `lon` of every region".to_owned());
        }
        let otherwise = config.otherwise.map(|name| {
            regions.named(&name).ok_or_else(|| format!("`otherwise` is `{name}`, which is none of the regions"))
        });
        Ok(Self {
            otherwise: otherwise.transpose()?,
            regions,
            region: config.region,
            position: config.position,
            split: (0, Vec::new()),
        })
    }

    fn partition(&mut self, record: &Record<'_>, _topic: &str, partitions: i32) -> Option<i32> {
        let region = self.named(record).or_else(|| self.nearest(record)).or(self.otherwise)?;
        if self.split.0 != partitions {
            self.split = (partitions, self.regions.split(partitions));
        }
        let choice = &self.split.1[region];
        let hash = murmur2(record.key().or(record.value()).unwrap_or_default()) & 0x7fff_ffff;
        choice.get(hash as usize % choice.len().max(1)).copied()
    }
}

impl GeoPartitioner {
    /// The region that the record names.
    fn named(&self, record: &Record<'_>) -> Option<usize> {
        match self.region.as_ref()? {
            Source::Header(name) => self.regions.named(std::str::from_utf8(record.header(name).ok().flatten()?).ok()?),
            Source::Field(path) => {
                let field = json::find(record.value()?, path).ok()??;
                self.regions.named(&json::text(field))
            }
        }
    }

    /// The region whose centre is nearest to the record's position.
    fn nearest(&self, record: &Record<'_>) -> Option<usize> {
        let fields = self.position.as_ref()?;
        let value = record.value()?;
        let degrees = |path: &Path| -> Option<f64> { json::text(json::find(value, path).ok()??).trim().parse().ok() };
        let position = Position::new(degrees(&fields.lat)?, degrees(&fields.lon)?)?;
        self.regions.nearest(&position)
    }
}

pelton_sdk::export_partitioner!(GeoPartitioner);

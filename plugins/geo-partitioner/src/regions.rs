//! The regions of a configuration, and which partitions each has.

use crate::globe::Position;
use pelton_sdk::prelude::Deserialize;

/// A region as it is configured.
#[derive(Debug, Deserialize)]
#[serde(crate = "pelton_sdk::serde", deny_unknown_fields)]
pub struct Region {
    name: String,
    /// Its centre, in degrees.
    #[serde(default)]
    lat: Option<f64>,
    #[serde(default)]
    lon: Option<f64>,
    /// Its partitions, by number.
    #[serde(default)]
    partitions: Option<Vec<i32>>,
    /// Its part of all partitions, beside the shares of the other regions.
    #[serde(default)]
    share: Option<u32>,
}

/// All regions, checked.
#[derive(Debug)]
pub struct Regions {
    names: Vec<String>,
    centres: Vec<Option<Position>>,
    partitions: Partitions,
}

#[derive(Debug)]
enum Partitions {
    Listed(Vec<Vec<i32>>),
    Shared(Vec<u32>),
}

/// The most regions: each record is measured against all of them.
const MOST: usize = 1000;
const MOST_SHARE: u32 = 1_000_000;

impl Regions {
    /// Checks the configured regions.
    ///
    /// # Errors
    /// Text for the operator that names the region.
    pub fn new(regions: Vec<Region>) -> Result<Self, String> {
        if regions.is_empty() || regions.len() > MOST {
            return Err(format!("`regions` has {} regions; it takes 1 to {MOST}", regions.len()));
        }
        let mut names: Vec<String> = Vec::new();
        let mut centres = Vec::new();
        for region in &regions {
            if names.contains(&region.name) {
                return Err(format!("region `{}` stands there twice", region.name));
            }
            names.push(region.name.clone());
            centres.push(region.centre()?);
        }
        Ok(Self { names, centres, partitions: Partitions::new(regions)? })
    }

    /// Whether each region has a centre.
    pub fn have_centres(&self) -> bool {
        self.centres.iter().all(Option::is_some)
    }

    /// The number of the region of that name.
    pub fn named(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// The region whose centre is nearest; the first of two that are equally near.
    pub fn nearest(&self, position: &Position) -> Option<usize> {
        let mut best: Option<(usize, f64)> = None;
        for (region, centre) in self.centres.iter().enumerate() {
            let Some(centre) = centre else { continue };
            let nearness = centre.nearness(position);
            if best.is_none_or(|(_, found)| nearness > found) {
                best = Some((region, nearness));
            }
        }
        best.map(|(region, _)| region)
    }

    /// The partitions of each region, at least one for each, where the topic has `partitions`.
    ///
    /// Of listed numbers those that the topic does not have are left out; a region that has none of its own then
    /// gets its first number modulo the number of partitions.
    pub fn split(&self, partitions: i32) -> Vec<Vec<i32>> {
        match &self.partitions {
            Partitions::Listed(lists) => lists
                .iter()
                .map(|list| {
                    let own: Vec<i32> = list.iter().copied().filter(|&number| number < partitions).collect();
                    if own.is_empty() { vec![list[0] % partitions] } else { own }
                })
                .collect(),
            Partitions::Shared(shares) => {
                let all: i64 = shares.iter().map(|&share| i64::from(share)).sum();
                let mut before = 0;
                let mut ranges = Vec::with_capacity(shares.len());
                for &share in shares {
                    let start = (i64::from(partitions) * before / all) as i32;
                    before += i64::from(share);
                    let end = (i64::from(partitions) * before / all) as i32;
                    let start = start.min(partitions - 1);
                    ranges.push((start..end.max(start + 1)).collect());
                }
                ranges
            }
        }
    }
}

impl Region {
    fn centre(&self) -> Result<Option<Position>, String> {
        match (self.lat, self.lon) {
            (None, None) => Ok(None),
            (Some(lat), Some(lon)) => Position::new(lat, lon)
                .map(Some)
                .ok_or_else(|| format!("region `{}`: there is no place at {lat}, {lon}; write degrees", self.name)),
            _ => Err(format!("region `{}` has a `lat` or a `lon` without the other", self.name)),
        }
    }
}

impl Partitions {
    fn new(regions: Vec<Region>) -> Result<Self, String> {
        if regions.iter().all(|region| region.partitions.is_none()) {
            let mut shares = Vec::new();
            for region in regions {
                let share = region.share.unwrap_or(1);
                if !(1..=MOST_SHARE).contains(&share) {
                    return Err(format!("region `{}`: `share` is between 1 and {MOST_SHARE}", region.name));
                }
                shares.push(share);
            }
            return Ok(Self::Shared(shares));
        }
        let mut lists = Vec::new();
        for region in regions {
            let Some(list) = region.partitions.filter(|_| region.share.is_none()) else {
                return Err(format!("region `{}`: all regions have `partitions`, or all have a `share`", region.name));
            };
            if list.is_empty() || list.iter().any(|&number| number < 0) {
                return Err(format!("region `{}`: `partitions` are numbers from 0, at least one", region.name));
            }
            lists.push(list);
        }
        Ok(Self::Listed(lists))
    }
}

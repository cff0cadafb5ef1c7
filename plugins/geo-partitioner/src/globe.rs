//! Positions on a sphere, and which of two is nearer.
//!
//! Along the great circle the nearer of two points is the one whose direction from the centre of the earth differs less,
//! that is the one of the larger scalar product: exact enough to tell centres of regions apart, without a distance in metres.

/// A place on the earth, as the direction in which it lies from the earth's centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position([f64; 3]);

impl Position {
    /// From degrees; `None` when there is no such place.
    pub fn new(lat: f64, lon: f64) -> Option<Self> {
        if !(-90.0..=90.0).contains(&lat) || !(-180.0..=180.0).contains(&lon) {
            return None;
        }
        let (lat, lon) = (lat.to_radians(), lon.to_radians());
        Some(Self([lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()]))
    }

    /// Larger for what is nearer: 1 for the same place, -1 for the other side of the earth.
    pub fn nearness(&self, other: &Self) -> f64 {
        self.0.iter().zip(&other.0).map(|(one, other)| one * other).sum()
    }
}

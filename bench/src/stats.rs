//! Medians and paired ratios.

/// The middle value; of an even number, the mean of the middle two. 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

/// A ratio with the interval in which 95 % of resamples of its rounds lie.
#[derive(Debug, Clone, Copy)]
pub struct Ratio {
    /// Median of the rounds' ratios.
    pub median: f64,
    /// 2.5th percentile.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
}

/// Ratios of paired rounds, bootstrapped with a fixed seed so that a table is made the same again.
pub fn paired(numerators: &[f64], denominators: &[f64]) -> Ratio {
    let ratios: Vec<f64> = numerators.iter().zip(denominators).map(|(a, b)| a / b).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound.max(1) as u64) as usize
    };
    let mut medians: Vec<f64> = (0..2_000)
        .map(|_| {
            let drawn: Vec<f64> = (0..ratios.len()).map(|_| ratios[next(ratios.len())]).collect();
            median(&drawn)
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    Ratio { median: median(&ratios), low: medians[50], high: medians[1_949] }
}

/// Whether costs, in the order in which they were measured, have stopped falling: the last three are not lower than the
/// three before them by more than 3 %.
pub fn plateaued(costs: &[f64]) -> bool {
    let Some(last) = costs.len().checked_sub(3) else { return false };
    let Some(before) = last.checked_sub(3) else { return false };
    median(&costs[last..]) >= 0.97 * median(&costs[before..last])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn a_plateau_is_where_costs_fall_no_more() {
        assert!(!plateaued(&[1.0; 5]));
        assert!(plateaued(&[9.0, 1.0, 1.0, 1.0, 0.99, 0.98, 1.0]));
        assert!(!plateaued(&[9.0, 8.0, 7.0, 6.0, 5.0, 4.0]));
    }

    #[test]
    fn equal_rounds_give_an_interval_of_one_point() {
        let ratio = paired(&[2.0, 4.0, 6.0], &[1.0, 2.0, 3.0]);
        assert_eq!((ratio.low, ratio.median, ratio.high), (2.0, 2.0, 2.0));
    }
}

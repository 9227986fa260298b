//! What is said of many samples.

/// The smallest sample that so many hundredths of all are not above (nearest rank).
pub(crate) fn percentile(samples: &[u64], percent: u32) -> u64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent as usize).div_ceil(100).max(1);
    sorted[rank - 1]
}

/// The sample in the middle; the lower one of two.
pub(crate) fn median(samples: &[u64]) -> u64 {
    percentile(samples, 50)
}

/// A count as a number that can be divided.
#[expect(clippy::cast_precision_loss, reason = "nothing here is near 2^53")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_sample_by_its_rank() {
        let samples: Vec<u64> = (1..=200).rev().collect();
        assert_eq!([1, 50, 95, 99, 100].map(|percent| percentile(&samples, percent)), [2, 100, 190, 198, 200]);
        assert_eq!(percentile(&[7], 99), 7);
    }
}

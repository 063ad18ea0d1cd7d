//! Long series for a picture that has fewer columns than they have points.

/// A place, and the value there where there is one.
pub(crate) type Point = (f64, Option<f64>);

/// Of each column the lowest and the highest value, in their order: no peak and no gap gets lost, as it would in a mean. Series that
/// have no more than two points a column stay as they are.
pub(super) fn thinned(points: &[Point], columns: usize) -> Vec<Point> {
    if points.len() <= columns * 2 {
        return points.to_vec();
    }
    let mut thin = Vec::with_capacity(columns * 3);
    for column in points.chunks(points.len().div_ceil(columns.max(1))) {
        if let Some(gap) = column.iter().find(|(_, value)| value.is_none()) {
            thin.push(*gap);
        }
        let known = || column.iter().filter_map(|(at, value)| Some((*at, (*value)?)));
        let by_value = |one: &(f64, f64), other: &(f64, f64)| one.1.total_cmp(&other.1);
        if let (Some(low), Some(high)) = (known().min_by(by_value), known().max_by(by_value)) {
            let (first, second) = if low.0 <= high.0 { (low, high) } else { (high, low) };
            thin.push((first.0, Some(first.1)));
            thin.extend((second.0 > first.0).then_some((second.0, Some(second.1))));
        }
    }
    thin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_and_gaps_stay() {
        let mut points: Vec<Point> = (0..10_000_u32).map(|at| (f64::from(at), Some(1.0))).collect();
        points[3_333].1 = Some(9.0);
        points[7_777].1 = Some(0.0);
        points[5_000].1 = None;
        let thin = thinned(&points, 100);
        assert!(thin.len() <= 300, "{}", thin.len());
        for kept in [(3_333.0, Some(9.0)), (7_777.0, Some(0.0)), (5_000.0, None)] {
            assert!(thin.contains(&kept), "{kept:?}");
        }
        let in_order = thin.iter().filter(|(_, value)| value.is_some()).is_sorted_by_key(|(at, _)| *at);
        assert!(in_order, "{thin:?}");
    }

    #[test]
    fn short_series_stay_as_they_are() {
        let points = [(0.0, Some(1.0)), (1.0, None), (2.0, Some(3.0))];
        assert_eq!(thinned(&points, 2), points);
        assert!(thinned(&[], 10).is_empty());
    }
}

use super::*;

#[test]
fn requests_are_counted_whatever_thread_answers_them() {
    let metrics = Metrics::default();
    let stages = Stages { remote: Duration::from_millis(3), ..Stages::default() };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..1_000).for_each(|_| metrics.request(0, 9, 100, 10, &stages)));
        }
    });
    let stripes = metrics.stripes.iter().filter_map(|stripe| stripe.apis[0].get());
    let (mut requests, mut bytes, mut total) = (0, 0, histogram::Distribution::default());
    for api in stripes {
        requests += api.versions[9].get();
        bytes += api.bytes_in.get();
        api.stages[4].add_to(&mut total);
    }
    assert_eq!((requests, bytes, total.count(), total.sum_ns), (8_000, 800_000, 8_000, 8_000 * 3_000_000));
}

#[test]
fn what_no_protocol_has_is_counted_somewhere_or_nowhere_and_never_panics() {
    let metrics = Metrics::default();
    for (key, version) in [(-1, 0), (i16::MAX, 0), (0, i16::MIN), (0, i16::MAX)] {
        metrics.request(key, version, 1, 1, &Stages::default());
        metrics.error(key, i16::MIN);
        metrics.error(key, i16::MAX);
    }
    assert!(metrics.error_codes().all(|(key, _, _)| key == 0));
}

#[test]
fn listeners_of_one_name_are_counted_together() {
    let metrics = Metrics::default();
    metrics.listener("PLAINTEXT").opened();
    metrics.listener("PLAINTEXT").opened();
    metrics.listener("PLAINTEXT").closed();
    metrics.listener("CONTROL").refused(Refused::Control);
    let found: Vec<(String, u64)> =
        metrics.listeners().iter().map(|listener| (listener.name.clone(), listener.active())).collect();
    assert_eq!(found, [("PLAINTEXT".to_owned(), 1), ("CONTROL".to_owned(), 0)]);
}

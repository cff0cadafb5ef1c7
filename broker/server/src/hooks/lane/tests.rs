use super::*;
use std::sync::mpsc;
use std::time::Duration;
use tokio::runtime::Handle;

const LONG: Duration = Duration::from_secs(30);

fn lane() -> (Pool, Arc<Lane>) {
    let pool = Pool::new(Handle::current());
    (pool.clone(), Arc::new(Lane::new(pool, Arc::default())))
}

fn put(lane: &Arc<Lane>, item: impl FnOnce() -> Step + Send + 'static) {
    assert!(lane.put(Box::new(item)).is_ok());
}

fn note(seen: &mpsc::Sender<i32>, value: i32) -> impl FnOnce() -> Step + Send + 'static {
    let seen = seen.clone();
    move || {
        seen.send(value).unwrap();
        Step::Done
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn items_run_in_order_also_across_waits_panics_and_holds() {
    let (pool, lane) = lane();
    let (seen, saw) = mpsc::channel();
    put(&lane, note(&seen, 0));
    let (open, gate) = oneshot::channel::<()>();
    let waited = seen.clone();
    put(&lane, move || {
        Step::Wait(Box::pin(async move {
            gate.await.unwrap();
            waited.send(1).unwrap();
        }))
    });
    put(&lane, || panic!("on purpose"));
    put(&lane, note(&seen, 2));
    assert_eq!(saw.recv_timeout(LONG).unwrap(), 0);
    open.send(()).unwrap();
    assert_eq!(saw.recv_timeout(LONG).unwrap(), 1);
    assert_eq!(saw.recv_timeout(LONG).unwrap(), 2);
    lane.hold();
    lane.quiet().await;
    for value in 3..100 {
        put(&lane, note(&seen, value));
    }
    assert!(lane.enter().is_none(), "a held lane was entered");
    // Whatever runs in the pool now, it is not this lane.
    pool.call(&Arc::new(Pace::default()), LONG, || ()).await.unwrap();
    assert!(saw.try_recv().is_err(), "a held lane went on");
    lane.release();
    for value in 3..100 {
        assert_eq!(saw.recv_timeout(LONG).unwrap(), value);
    }
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_waits_for_the_item_that_is_waited_for() {
    let (pool, lane) = lane();
    let (entered, enters) = mpsc::channel();
    let (open, gate) = oneshot::channel::<()>();
    put(&lane, move || {
        entered.send(()).unwrap();
        Step::Wait(Box::pin(async move {
            let _ = gate.await;
        }))
    });
    enters.recv_timeout(LONG).unwrap();
    lane.hold();
    let holding = lane.clone();
    let quiet = tokio::spawn(async move { holding.quiet().await });
    tokio::task::yield_now().await;
    assert!(!quiet.is_finished());
    open.send(()).unwrap();
    tokio::time::timeout(LONG, quiet).await.unwrap().unwrap();
    lane.release();
    assert!(lane.enter().is_some());
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_lane_gives_items_back() {
    let (pool, lane) = lane();
    lane.hold();
    for _ in 0..MAX_ITEMS {
        put(&lane, || Step::Done);
    }
    assert!(lane.put(Box::new(|| Step::Done)).is_err());
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_stops_leaves_nobody_waiting() {
    let (pool, lane) = lane();
    let (entered, enters) = mpsc::channel();
    let (open, opened) = mpsc::channel::<()>();
    put(&lane, move || {
        entered.send(()).unwrap();
        let _ = opened.recv_timeout(LONG);
        Step::Done
    });
    enters.recv_timeout(LONG).unwrap();
    let waiting = |lane: &Arc<Lane>| {
        let (answer, answered) = oneshot::channel::<()>();
        put(lane, move || {
            let _ = answer.send(());
            Step::Done
        });
        answered
    };
    let held = Arc::new(Lane::new(pool.clone(), Arc::default()));
    held.hold();
    let (behind, of_held) = (waiting(&lane), waiting(&held));
    pool.stop();
    drop(open);
    assert!(behind.await.is_err());
    held.release();
    assert!(of_held.await.is_err());
    assert!(waiting(&lane).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_enters_is_followed_by_what_came_meanwhile() {
    let (pool, lane) = lane();
    let (seen, saw) = mpsc::channel();
    let inside = lane.enter().unwrap();
    assert!(lane.enter().is_none(), "two were inside");
    put(&lane, note(&seen, 3));
    let (first, later) = (seen.clone(), seen.clone());
    inside.run(|| {
        first.send(1).unwrap();
        // It did not get ready: a guest thread takes it up, before all that came meanwhile.
        Err(Box::new(move || {
            later.send(2).unwrap();
            Step::Done
        }))
    });
    for value in 1..=3 {
        assert_eq!(saw.recv_timeout(LONG).unwrap(), value);
    }
    lane.hold();
    lane.quiet().await;
    lane.release();
    let inside = lane.enter().unwrap();
    put(&lane, note(&seen, 4));
    assert!(saw.try_recv().is_err(), "it overtook whoever was inside");
    inside.run(|| panic!("on purpose"));
    assert_eq!(saw.recv_timeout(LONG).unwrap(), 4);
    pool.stop();
}

use super::*;

#[tokio::test]
async fn a_topic_is_changed_by_one_asker_at_a_time_and_forgotten_after_the_last() {
    let altering = Arc::new(Altering::default());
    let first = altering.turn("a").await;
    let other = altering.turn("b").await;
    let waiting = {
        let altering = altering.clone();
        tokio::spawn(async move {
            let _second = altering.turn("a").await;
        })
    };
    while altering.lock().get("a").is_some_and(|turn| Arc::strong_count(turn) < 3) {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    drop(first);
    waiting.await.unwrap();
    drop(other);
    assert!(altering.lock().is_empty(), "{:?}", altering.lock());
}

#[tokio::test]
async fn several_topics_are_taken_in_one_order_each_once() {
    let altering = Altering::default();
    let names: Vec<Arc<str>> = ["b", "a", "b"].into_iter().map(Arc::from).collect();
    let turns = altering.turns(names.iter()).await;
    assert_eq!(turns.iter().map(|turn| &*turn.topic).collect::<Vec<_>>(), ["a", "b"]);
}

//! Lines as they are found in the world, and counts over several batches.

use crate::PageViews;
use crate::access_log::path;
use pelton_sdk::testing::{Harness, TestRecord};
use std::collections::BTreeMap;

const EXCERPT: &str = include_str!("../tests/fixtures/access.log");

fn pages() -> Harness<PageViews> {
    Harness::new(r#"{"step":"pages"}"#, &[]).expect("the configuration is good")
}

fn count() -> Harness<PageViews> {
    Harness::new(r#"{"step":"count"}"#, &["views"]).expect("the configuration is good")
}

fn path_text(line: &str) -> Result<&str, &'static str> {
    path(line.as_bytes()).map(|path| std::str::from_utf8(path).expect("a piece of text cut at ASCII is text"))
}

/// Runs both steps over lines in batches of 700, as the platform would, and reads the counts from the output.
fn views(lines: &[&[u8]]) -> (BTreeMap<Vec<u8>, u64>, usize) {
    let (mut pages, mut count) = (pages(), count());
    let (mut views, mut rejected) = (BTreeMap::new(), 0);
    for batch in lines.chunks(700) {
        let found = pages.process_values(batch).expect("the step takes any line");
        rejected += found.rejected.len();
        for record in count.process(&found.records).expect("the step takes any path").records {
            let text = record.value_text().expect("a count has a value");
            let count: u64 = text.parse().expect("a count is a number");
            let before = views.insert(record.key.expect("a count has a path"), count).unwrap_or(0);
            assert_eq!(count, before + 1, "a count must grow by one with each view");
        }
    }
    for (path, count) in count.state("views") {
        assert_eq!(count.as_slice(), views[path].to_be_bytes(), "the state is not what was emitted");
    }
    (views, rejected)
}

#[test]
fn usual_lines_give_their_path() {
    let combined = r#"83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET /a/b.png?x=1&y=/?z HTTP/1.1" 200 203 "http://a/?q" "Mozilla/5.0""#;
    assert_eq!(path_text(combined), Ok("/a/b.png"));
    let common = r#"::1 - frank [10/Oct/2000:13:55:36 -0700] "POST /apache_pb.gif HTTP/2" 304 -"#;
    assert_eq!(path_text(common), Ok("/apache_pb.gif"));
    let frame = |request: &str| format!("2001:db8::7 - - [17/May/2015:10:05:03 +0000] \"{request}\" 200 -\r");
    for (request, expected) in [
        ("HEAD / HTTP/1.0", "/"),
        ("get /", "/"),
        ("PROPFIND /dav/ HTTP/1.1", "/dav/"),
        ("GET  /two-spaces  HTTP/1.1", "/two-spaces"),
        ("GET /a b HTTP/1.1", "/a"),
        ("GET /#top HTTP/1.1", "/"),
        ("GET /%C3%BC?a#b HTTP/3", "/%C3%BC"),
        ("GET /ü HTTP/1.1", "/ü"),
        (r#"GET /say\"hi\" HTTP/1.1"#, r#"/say\"hi\""#),
        (r"GET /back\\ HTTP/1.1", r"/back\\"),
        ("GET //double HTTP/1.1", "//double"),
        ("GET /?next=http://b/c HTTP/1.1", "/"),
        ("GET /http://b/c HTTP/1.1", "/http://b/c"),
        ("GET http://host:80/path?q HTTP/1.1", "/path"),
        ("GET HTTPS://[::1]/p HTTP/1.1", "/p"),
        ("GET http://host HTTP/1.1", "/"),
        ("GET http://host?q HTTP/1.1", "/"),
        ("OPTIONS * HTTP/1.0", "*"),
        ("CONNECT example.com:443 HTTP/1.1", "example.com:443"),
        ("GET index.html HTTP/1.0", "index.html"),
    ] {
        assert_eq!(path_text(&frame(request)), Ok(expected), "{request}");
    }
    assert_eq!(path_text(r#"1.2.3.4 - "" [-] "GET /after-an-empty-user HTTP/1.1" 200 1"#), Ok("/after-an-empty-user"));
}

#[test]
fn a_line_cut_short_counts_when_its_path_is_whole() {
    let cut =
        r#"46.118.127.106 - - [20/May/2015:12:05:17 +0000] "GET /a.py HTTP/1.1" 200 235 "-" "Mozilla/5.0 (compat"#;
    assert_eq!(path_text(cut), Ok("/a.py"));
    assert_eq!(path_text(r#"1.2.3.4 - - [x] "GET /a.py HTT"#), Ok("/a.py"));
    assert_eq!(path_text(r#"1.2.3.4 - - [x] "GET /a.py?quer"#), Ok("/a.py"));
    assert!(path_text(r#"1.2.3.4 - - [x] "GET /a.p"#).unwrap_err().contains("cut short"));
}

#[test]
fn what_is_no_access_log_line_is_rejected_with_its_reason() {
    for (line, reason) in [
        ("", "empty line"),
        (" \t\r", "empty line"),
        ("hello", "no quoted request"),
        ("GET / HTTP/1.1", "no quoted request"),
        (r#"1.2.3.4 - - [x] "" 400 0"#, "empty request"),
        (r#"1.2.3.4 - - [x] "-" 408 -"#, "no request was read"),
        (r#"1.2.3.4 - - [x] "\x16\x03\x01" 400 0"#, "not an HTTP request"),
        (r#"1.2.3.4 - - [x] "\x16\x03 \x01 /" 400 0"#, "not an HTTP request"),
        (r#"1.2.3.4 - - [x] "quit" 400 0"#, "not an HTTP request"),
        (r#"they said "hello world" to me"#, "not an HTTP request"),
        (r#"{"level":"info","path":"/x"}"#, "not an HTTP request"),
    ] {
        let found = path_text(line).expect_err(line);
        assert!(found.starts_with(reason), "{line}: {found}");
    }
}

#[test]
fn any_bytes_and_any_length_are_taken() {
    let long = format!("1.2.3.4 - - [x] \"GET /{} HTTP/1.1\" 200 1", "a".repeat(100_000));
    assert_eq!(path_text(&long).map(str::len), Ok(100_001));
    assert_eq!(path(&[b'"'; 100_000]), Err("empty request"));
    assert_eq!(path(&[b'\\'; 100_000]), Err("no quoted request"));
    assert_eq!(path(b"\xff\x00 \"GET /\xfe\xff?\x80 HTTP/1.1\""), Ok(&b"/\xfe\xff"[..]));
    let mut line = b"x \"GET /p?q HTTP/1.1\" 200 \"http://h/\\\" \"\xc3".to_vec();
    for at in 0..line.len() {
        for byte in 0..=u8::MAX {
            let before = std::mem::replace(&mut line[at], byte);
            let _: Result<&[u8], &str> = path(&line);
            line[at] = before;
        }
    }
}

#[test]
fn null_lines_and_null_keys_are_rejected_in_their_place() {
    let outcome = pages().process_values([Some("1 - - [x] \"GET /a HTTP/1.1\" 200 1"), None, Some("")]).unwrap();
    assert_eq!(outcome.rejected.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(outcome.records, [TestRecord::new("/a", "")]);
    let outcome = count().process(&[TestRecord::new((), "x"), TestRecord::new("/a", "")]).unwrap();
    assert_eq!(outcome.rejected, [(0, "no path: the key is null".to_owned())]);
    assert_eq!(outcome.records, [TestRecord::new("/a", "1")]);
}

#[test]
fn counts_go_on_from_batch_to_batch() {
    let mut count = count();
    let text = |outcome: pelton_sdk::testing::Outcome| -> Vec<String> {
        outcome
            .records
            .iter()
            .map(|r| format!("{}={}", r.key_text().unwrap_or_default(), r.value_text().unwrap_or_default()))
            .collect()
    };
    let first = count.process_keyed([("/a", ""), ("/b", ""), ("/a", "")]).unwrap();
    assert_eq!(text(first), ["/a=1", "/b=1", "/a=2"]);
    assert_eq!(text(count.process_keyed([("/b", ""), ("", "")]).unwrap()), ["/b=2", "=1"]);
    assert_eq!(text(count.process_keyed::<&str, &str>([]).unwrap()), Vec::<String>::new());
    assert_eq!(count.stored::<u64>("views", "/a"), Some(2));
}

#[test]
fn bad_configurations_are_refused() {
    let refused = |config: &str, stores: &[&str]| Harness::<PageViews>::new(config, stores).unwrap_err();
    assert!(refused(r#"{"step":"pagse"}"#, &[]).contains("pagse"));
    assert!(refused("{}", &[]).contains("step"));
    assert!(refused(r#"{"step":"pages","x":1}"#, &[]).contains("`x`"));
    assert!(refused(r#"{"step":"count"}"#, &["view"]).contains("`views`"));
}

#[test]
fn the_excerpt_is_counted() {
    let lines: Vec<&[u8]> = EXCERPT.lines().map(str::as_bytes).collect();
    let (views, rejected) = views(&lines);
    let text: Vec<String> = views.iter().map(|(path, n)| format!("{} {n}", String::from_utf8_lossy(path))).collect();
    assert_eq!(text, ["/ 3", "/blog/geekery/disabling.html 1", "/favicon.ico 2", "/reset.css 1", "/style2.css 1"]);
    assert_eq!(rejected, 4);
}

#[test]
fn the_real_log_is_counted_as_its_readme_says() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/apache_access.log");
    // The log belongs to the developers' machines; the fixture above guards the same code elsewhere.
    let Ok(log) = std::fs::read(file) else { return };
    let lines: Vec<&[u8]> = log.strip_suffix(b"\n").unwrap_or(&log).split(|&byte| byte == b'\n').collect();
    let (views, rejected) = views(&lines);
    assert_eq!((lines.len(), rejected, views.len()), (10_000, 0, 1_368));
    assert_eq!(views.values().sum::<u64>(), 10_000);
    for (path, count) in
        [("/favicon.ico", 807), ("/", 575), ("/style2.css", 546), ("/reset.css", 538), ("/images/jordan-80.png", 533)]
    {
        assert_eq!(views[path.as_bytes()], count, "{path}");
    }
}

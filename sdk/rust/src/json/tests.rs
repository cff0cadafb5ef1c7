//! Documents as they are found in the world, and paths.

use super::{Edit, Path, document, edit, find, quoted, text};

fn path(text: &str) -> Path {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn found(document: &str, at: &str) -> Option<String> {
    find(document.as_bytes(), &path(at)).unwrap().map(|value| text(value).into_owned())
}

/// The document with what the paths name replaced by the number of the path, or removed where the number is odd.
fn edited(document: &str, paths: &[&str]) -> Option<String> {
    let paths: Vec<Path> = paths.iter().map(|it| path(it)).collect();
    let change =
        |path: usize, _: &_| if path.is_multiple_of(2) { Edit::Replace(path.to_string()) } else { Edit::Remove };
    edit(document.as_bytes(), &paths, change).unwrap().map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn fields_are_found() {
    let order =
        r#" {"id": 7, "user": {"e.mail": "a\u0040b", "name": null}, "lines": [{"n": 1.50}, {"n": 2}], "id": 8} "#;
    assert_eq!(found(order, "id").as_deref(), Some("8"), "the last of two");
    assert_eq!(found(order, r"user.e\.mail").as_deref(), Some("a@b"));
    assert_eq!(found(order, "user.name").as_deref(), Some("null"));
    assert_eq!(found(order, "lines[1].n").as_deref(), Some("2"));
    assert_eq!(found(order, "lines[*].n").as_deref(), Some("1.50"));
    assert_eq!(found("[[1,2],[3]]", "[1][0]").as_deref(), Some("3"));
    for none in ["nobody", "id.x", "lines.n", "user[0]", "lines[2].n", "lines[*].m"] {
        assert_eq!(found(order, none), None, "{none}");
    }
}

#[test]
fn only_what_is_named_changes() {
    let order = r#"{"id": 12345678901234567890123, "user":{"name":"x","us\u0065":1, "use":2}, "c":[{"n":1},{},{"n":2}], "f":1.0}"#;
    assert_eq!(
        edited(order, &["user.use"]).unwrap(),
        r#"{"id":12345678901234567890123,"user":{"name":"x","us\u0065":0,"use":0},"c":[{"n":1},{},{"n":2}],"f":1.0}"#
    );
    assert_eq!(
        edited(order, &["c[*].n", "user"]).unwrap(),
        r#"{"id":12345678901234567890123,"c":[{"n":0},{},{"n":0}],"f":1.0}"#
    );
    assert_eq!(edited(order, &["nobody", "user.nobody", "id.x", "c.n"]), None);
    assert_eq!(edited("[1,2,3]", &["[9]", "[*]"]).unwrap(), "[]");
    assert_eq!(edited("[1,2,3]", &["[9]", "[0]"]).unwrap(), "[2,3]");
    assert_eq!(edited(r#"{"a":1}"#, &["b", "a"]).unwrap(), "{}");
    assert_eq!(edited(r#"{"a":{"b":1}}"#, &["a.b", "a"]).unwrap(), "{}", "the shorter path is asked first");
}

#[test]
fn what_is_no_document_is_an_error_however_deep_it_is() {
    let deep = "[".repeat(200_000);
    for bad in ["", "{", "{\"a\":}", "{\"a\":1}x", "nul", "\"\u{1}\"", &deep] {
        assert!(document(bad.as_bytes()).is_err(), "{bad:.20}");
        assert!(edit(bad.as_bytes(), &[path("a")], |_, _| Edit::Remove).is_err(), "{bad:.20}");
    }
    assert!(document(b"{\"a\":\"\xff\"}").is_err());
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(find(deep.as_bytes(), &path("[0][0]")).unwrap().is_some());
}

#[test]
fn paths_are_parsed_or_refused() {
    assert_eq!(path(r"a\.b\[0\]\\"), path(r"a\.b\[0\]\\"));
    assert_ne!(path("a.b"), path(r"a\.b"));
    for bad in ["", ".", "a.", ".a", "a..b", "a[", "a[]", "a[x]", "a[1]b", "a]", "a\\x", "a\\", &"a.".repeat(40)] {
        assert!(bad.parse::<Path>().is_err(), "{bad}");
    }
}

#[test]
fn text_goes_in_and_out() {
    for it in ["", "a\"b\\c\n", "ü\u{1f600}"] {
        let quoted = quoted(it);
        assert_eq!(text(document(quoted.as_bytes()).unwrap()), it);
    }
    assert_eq!(text(document(b"\"\\ud800\"").unwrap()), "\"\\ud800\"");
}

//! Against a small S3-compatible server: HEAD and GET of objects, and a listing.

use crate::reading::{Folder, full, gzip};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A bucket `exports` behind an endpoint of its own, for as long as the test runs.
struct Bucket {
    endpoint: String,
    objects: Objects,
}

impl Bucket {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let objects = Objects::default();
        let served = objects.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let objects = served.clone();
                thread::spawn(move || serve(&stream, &objects));
            }
        });
        Self { endpoint, objects }
    }

    fn put(&self, key: &str, content: impl AsRef<[u8]>) {
        self.objects.lock().unwrap().insert(key.to_owned(), content.as_ref().to_vec());
    }

    fn folder(&self, path: &str) -> Folder {
        let settings = [
            ("endpoint", self.endpoint.as_str()),
            ("region", "eu-central-1"),
            ("access_key_id", "test"),
            ("secret_access_key", "test"),
            ("allow_http", "true"),
        ];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Folder::reading(path).set(|s| s.object_store = Some(settings.into()))
    }
}

fn serve(stream: &TcpStream, objects: &Objects) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(request) = lines.next() {
        while lines.next().is_some_and(|header| !header.is_empty()) {}
        let mut words = request.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let key = path.strip_prefix("/exports").unwrap_or_default().trim_start_matches('/');
        let objects = objects.lock().unwrap().clone();
        let (status, body) = if key.is_empty() {
            ("200 OK", listing(&objects, query).into_bytes())
        } else {
            match objects.get(key) {
                Some(content) => ("200 OK", content.clone()),
                None => ("404 Not Found", b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
            }
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nETag: \"{}\"\r\n\
             Last-Modified: Tue, 09 Dec 2025 10:00:00 GMT\r\n\r\n",
            body.len(),
            tag(&body),
        );
        let body = if method == "HEAD" { &[][..] } else { &body[..] };
        let mut out = stream;
        if out.write_all(head.as_bytes()).and_then(|()| out.write_all(body)).is_err() {
            return;
        }
    }
}

fn tag(content: &[u8]) -> String {
    let sum =
        content.iter().fold(0_u32, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    format!("{sum:x}")
}

fn listing(objects: &BTreeMap<String, Vec<u8>>, query: &str) -> String {
    let prefix = query.split('&').find_map(|pair| pair.strip_prefix("prefix=")).unwrap_or_default();
    let prefix = prefix.replace("%2F", "/");
    let contents: String = objects
        .iter()
        .filter(|(key, _)| key.starts_with(&prefix))
        .map(|(key, content)| {
            format!(
                "<Contents><Key>{key}</Key><LastModified>2025-12-09T10:00:00.123Z</LastModified>\
                 <ETag>&quot;{}&quot;</ETag><Size>{}</Size></Contents>",
                tag(content),
                content.len()
            )
        })
        .collect();
    format!(
        "<?xml version=\"1.0\"?><ListBucketResult><Name>exports</Name><IsTruncated>false</IsTruncated>\
         {contents}</ListBucketResult>"
    )
}

#[test]
fn one_object_is_read_resumed_and_found_unchanged() {
    let bucket = Bucket::start();
    bucket.put("crm/a.csv.gz", gzip("id,name\n1,a\n2,b\n3,c\n"));
    let folder = bucket.folder("s3://exports/crm/a.csv.gz");
    let whole = folder.try_read(full(None, 1)).unwrap();
    assert_eq!(whole.records()[2], r#"s3://exports/crm/a.csv.gz:4 id="3" name="c""#);
    assert!(whole.end.complete, "{:?}", whole.end);
    let rest = folder.try_read(full(Some(whole.pages[0].cursor.clone()), 10)).unwrap();
    assert_eq!(rest.records(), whole.records()[1..]);
    assert_eq!(folder.read_since(&whole.end.cursor).pages.len(), 0);
    bucket.put("crm/a.csv.gz", gzip("id,name\n1,a\n2,b\n3,c\n4,d\n"));
    assert_eq!(folder.read_since(&whole.end.cursor).bodies(), [r#"id="4" name="d""#]);
}

#[test]
fn a_glob_in_the_key_lists_objects() {
    let bucket = Bucket::start();
    for (key, n) in
        [("crm/b.jsonl", 2), ("crm/a.jsonl", 1), ("crm/deep/c.jsonl", 3), ("x.jsonl", 4)]
    {
        bucket.put(key, format!("{{\"n\":{n}}}\n"));
    }
    let folder = bucket.folder("s3://exports/crm/*.jsonl");
    let outcome = folder.read();
    let expected = ["s3://exports/crm/a.jsonl:1 n=1", "s3://exports/crm/b.jsonl:1 n=2"];
    assert_eq!(
        (outcome.records().as_slice(), outcome.gap()),
        (&expected.map(String::from)[..], "")
    );
    assert_eq!(folder.read_since(&outcome.end.cursor).pages.len(), 0);
    let none = bucket.folder("s3://exports/billing/*.jsonl").refusal();
    assert!(none.contains("no object matches"), "{none}");
}

#[test]
fn what_is_not_there_or_not_known_is_refused() {
    let bucket = Bucket::start();
    let message = bucket.folder("s3://exports/gone.csv").refusal();
    assert_eq!(message, "cannot read `s3://exports/gone.csv`: there is no such object");
    let message = bucket.folder("s3://exports.csv").refusal();
    assert!(message.contains("s3://bucket/key"), "{message}");
    let folder = bucket.folder("s3://exports/a.csv").set(|s| {
        s.object_store = Some([("bucket".to_owned(), "x".to_owned())].into());
    });
    assert!(folder.refusal().contains("no setting `bucket`"));
}

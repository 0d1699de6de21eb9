use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Does what the command does, for 20 records: a record is a line of the store, committed one by one.
const FAKE: &str = r#"#!/bin/sh
for store; do :; done
case "$1 $2" in
"run "*)
  done=$(cat "$store" 2>/dev/null | wc -l)
  # AFTER_RESTART
  while [ "$done" -lt 20 ]; do done=$((done + 1)); echo "C$done" >> "$store"; sleep 0.01; done ;;
"export links") echo external_id,shard_id; sed 's/.*/&,id-&/' "$store" ;;
"export shards") sed 's/.*/{"id":"id-&","data":{"n":"&"}}/' "$store" ;;
"export edges") echo id,from,to ;;
"executions --json") echo "[{\"results\":{\"fetched\":$(wc -l < "$store")}}]" ;;
esac
"#;

fn outcome(program: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fake.sh");
    fs::write(&path, program).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let input = folder.path().join("unread.jsonl");
    let mut bench = Bench { program: path, input, folder: folder.path().to_owned(), stores: 0 };
    let store = bench.next_store();
    let watch = Stopwatch::start();
    bench.finish(bench.start(&store).unwrap()).unwrap();
    let whole = watch.elapsed();
    let expected = bench.state(&store).unwrap();
    let options = Options { rounds: 6, records: 20, seed: 7 };
    kill_and_compare(&mut bench, options, whole, &expected).unwrap()
}

#[test]
fn a_run_that_goes_on_where_it_stopped_passes() {
    assert!(outcome(FAKE));
}

#[test]
fn a_run_that_forgets_or_repeats_after_a_kill_is_found_out() {
    let skips = r#"[ "$done" -gt 0 ] && done=$((done + 1)) && echo "X$done" >> "$store""#;
    assert!(!outcome(&FAKE.replace("# AFTER_RESTART", skips)));
}

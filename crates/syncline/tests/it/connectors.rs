//! `syncline connectors`: which connectors there are.

use crate::project::Project;

#[test]
fn connectors_are_listed_and_shown_stream_by_stream() {
    let project = Project::new(&[]);
    project.run(&["connectors"]).expect(0, &["kinto", "BasicHttp", "read, write", "native"]);
    let shown = project.run(&["connectors", "kinto"]);
    shown.expect(0, &["records", "incremental", "create, update, delete"]);
    let json = project.json(&["connectors", "--json"]);
    let names = json["connectors"].as_array().unwrap().iter().map(|one| &one["name"]);
    assert!(names.into_iter().any(|name| name == "kinto"), "{json:#}");
    project.run(&["connectors", "kinot"]).expect(1, &["did you mean `kinto`?"]);
    project.write("mine.yaml", "streams: [");
    project.run(&["connectors", "--in", "."]).expect(0, &["mine", "broken", "mine.yaml"]);
    project.run(&["connectors", "--in", "nowhere"]).expect(1, &["cannot read `nowhere`"]);
    let spec = ["connector", "spec", "--manifest-path", "kinto"];
    project.run(&spec).expect(0, &["connectionSpecification", "bucket"]);
}

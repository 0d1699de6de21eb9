//! `preview`: the exact change set, and nothing written.

use crate::project::Project;

#[test]
fn a_preview_shows_the_change_set_and_does_not_even_make_the_store() {
    let project = Project::contacts("1,ada@x.org,Ada,36\n2,bob@x.org,Bob,41\n3,x,Eve,20\n");
    let ran = project.run(&["preview"]);
    ran.expect(
        0,
        &[
            "+ 2 new",
            "+ person",
            "email: ada@x.org",
            "from crm/contact 1",
            "! refused `3`",
            "nothing was written",
        ],
    );
    assert!(!project.path("syncline.db").exists());
    let limited = project.run(&["preview", "--limit", "1"]);
    limited.expect(0, &["… and 1 more shard (--limit 0 shows all)"]);
}

#[test]
fn a_preview_of_a_change_shows_each_field_and_leaves_the_store_alone() {
    let project = Project::contacts("1,ada@x.org,Ada,36\n2,bob@x.org,Bob,41\n");
    project.json(&["run", "--json"]);
    let before = project.json(&["status", "--json"]);
    project.write(
        "contacts.csv",
        "id,email,name,age\n1,ada@x.org,Ada King,36\n2,bob@x.org,Bob,41\n3,ada@x.org,,\n",
    );
    let preview = project.json(&["preview", "--json"]);
    let shards = preview["changes"]["shards"].as_array().unwrap();
    assert_eq!(shards.len(), 1, "{preview:#}");
    assert_eq!(shards[0]["kind"], "updated");
    let fields = shards[0]["fields"].as_array().unwrap();
    assert_eq!(fields.len(), 1, "{preview:#}");
    assert_eq!(fields[0]["before"], "Ada");
    assert_eq!(fields[0]["after"], "Ada King");
    assert_eq!(preview["changes"]["links_created"], 1);
    assert_eq!(project.json(&["status", "--json"]), before);
    project.run(&["preview"]).expect(0, &["~ person", "name: Ada → Ada King"]);
    // What was shown is what a run does.
    let run = project.json(&["run", "--json"]);
    assert_eq!(run["results"], preview["results"]);
}

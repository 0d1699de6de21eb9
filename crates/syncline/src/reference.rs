//! `docs/cli.md`, made from the command line's definition.

use crate::cli::definition;
use crate::error::Exit;
use clap::{Arg, ArgAction, Command};
use std::fmt::Write;

/// What stands before the commands.
const INTRODUCTION: &str = "\
# The command line

Made from the program's own definition by a test; `UPDATE_DOCS=1 cargo test -p syncline docs_cli_md_is_fresh`
writes it anew.

Results go to standard output, progress, remarks and errors to standard error. With `--json` the last line of standard
output is one JSON object, errors included; only `export` to standard output writes an object for each row, and `schema`
and `completions` print what they always do. Progress is a bar on a terminal, a line every two seconds elsewhere, and
nothing with `--json` or `--quiet`. Colours honour `NO_COLOR`, `CLICOLOR_FORCE` and `TERM=dumb`. `--debug` logs to standard
error; `SYNCLINE_LOG` narrows or widens it (`SYNCLINE_LOG=trace`). Secrets are taken out of all of them.

A path names a folder or a file. In a folder, `syncline.yaml` is the configuration; where there is none, all `*.yaml`
and `*.yml` files there are, together. The store is `--store`, or else the configuration's `store`, or else
`syncline.db` beside the configuration.

Ctrl-C (or SIGTERM) stops a run at its next batch border; a second one stops at once. Either way the next run goes on
from what was committed.
";

/// The reference of the command line, in Markdown.
pub fn markdown() -> String {
    let mut root = definition();
    root.build();
    let mut out = String::from(INTRODUCTION);
    out.push_str("\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for (exit, meaning) in Exit::ALL {
        line(&mut out, format_args!("| {} | {meaning} |", exit.code()));
    }
    out.push_str("\nOf several tasks, what could not be run at all weighs most, then failed, cancelled, partial.\n");
    out.push_str("\n## Global options\n\nThey may stand anywhere on the command line.\n\n");
    for argument in root.get_arguments().filter(|argument| argument.is_global_set()) {
        option(&mut out, argument);
    }
    out.push_str("\n## Commands\n");
    for command in root.get_subcommands().filter(|command| command.get_name() != "help") {
        describe(&mut out, command, &format!("syncline {}", command.get_name()), 3);
    }
    out
}

fn describe(out: &mut String, command: &Command, name: &str, level: usize) {
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !arg.is_global_set() && !["help", "version"].contains(&arg.get_id().as_str()))
        .collect();
    line(out, format_args!("\n{} `{}`\n", "#".repeat(level), usage(command, name, &own)));
    let about = command.get_long_about().or(command.get_about());
    line(out, format_args!("{}", about.map(ToString::to_string).unwrap_or_default()));
    if !own.is_empty() {
        out.push('\n');
    }
    for argument in own {
        option(out, argument);
    }
    if let Some(details) = command.get_after_help() {
        line(out, format_args!("\n{details}"));
    }
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        describe(out, sub, &format!("{name} {}", sub.get_name()), level + 1);
    }
}

fn usage(command: &Command, name: &str, own: &[&Arg]) -> String {
    let mut usage = name.to_owned();
    if own.iter().any(|argument| !argument.is_positional()) {
        usage.push_str(" [OPTIONS]");
    }
    for argument in own.iter().filter(|argument| argument.is_positional()) {
        let (open, close) = if argument.is_required_set() { ('<', '>') } else { ('[', ']') };
        let many = if matches!(argument.get_action(), ArgAction::Append) { "..." } else { "" };
        usage.push_str(&format!(" {open}{}{close}{many}", value_name(argument)));
    }
    if command.has_subcommands() {
        usage.push_str(if command.is_subcommand_required_set() {
            " <COMMAND>"
        } else {
            " [COMMAND]"
        });
    }
    usage
}

fn value_name(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    match names.first() {
        Some(name) => name.to_string(),
        None => argument.get_id().as_str().to_uppercase(),
    }
}

fn option(out: &mut String, argument: &Arg) {
    let mut names = Vec::new();
    if argument.is_positional() {
        names.push(format!("`{}`", value_name(argument)));
    }
    names.extend(argument.get_short().map(|short| format!("`-{short}`")));
    if let Some(long) = argument.get_long() {
        let takes_value = argument.get_action().takes_values();
        let value = if takes_value { format!(" {}", value_name(argument)) } else { String::new() };
        names.push(format!("`--{long}{value}`"));
    }
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let mut text = help;
    let default: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !default.is_empty() && argument.get_action().takes_values() {
        text.push_str(&format!(" [default: {}]", default.join(", ")));
    }
    let values = argument.get_possible_values();
    if !values.is_empty() && argument.get_action().takes_values() {
        let values: Vec<&str> = values.iter().map(|value| value.get_name()).collect();
        text.push_str(&format!(" [{}]", values.join(", ")));
    }
    line(out, format_args!("- {}: {text}", names.join(", ")));
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("text is written to memory");
}

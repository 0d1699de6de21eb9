//! Rows of a table whose first one names the columns, as records.

use super::super::trouble::Trouble;
use serde_json::{Map, Value as Json};

/// The records of `rows`, whose first item names the columns: empty cells, and those that a row is too short for, are
/// null; rows without anything are left out. `number_field` is what the place of the row is put into, counted from 1
/// with the row of names.
///
/// # Errors
///
/// Where two columns have one name, or a row is none.
pub(super) fn records(rows: &[Json], number_field: Option<&str>) -> Result<Vec<Json>, Trouble> {
    let Some((first, rows)) = rows.split_first() else { return Ok(Vec::new()) };
    let cells = |row: &Json, number: usize| match row {
        Json::Array(cells) => Ok(cells.clone()),
        _ => Err(Trouble::system(format!("row {number} of the table is no list of cells"))),
    };
    let mut names: Vec<String> = Vec::new();
    for (index, name) in cells(first, 1)?.iter().enumerate() {
        let name = super::text_of(name);
        let name = if is_empty(&Json::from(name.trim())) { column(index) } else { name };
        if names.contains(&name) || number_field == Some(name.as_str()) {
            return Err(Trouble::system(format!(
                "two columns of the table are called `{name}`: give one of them another name in the first row"
            )));
        }
        names.push(name);
    }
    let mut records = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        let number = index + 2;
        let mut cells = cells(row, number)?.into_iter();
        let mut record = Map::with_capacity(names.len() + 1);
        for name in &names {
            let cell = cells.next().filter(|cell| !is_empty(cell));
            record.insert(name.clone(), cell.unwrap_or_default());
        }
        if record.values().all(Json::is_null) {
            continue;
        }
        if let Some(field) = number_field {
            record.insert(field.to_owned(), number.into());
        }
        records.push(Json::Object(record));
    }
    Ok(records)
}

fn is_empty(cell: &Json) -> bool {
    cell.is_null() || cell.as_str().is_some_and(str::is_empty)
}

/// What a column is called that has no name: `column C`.
fn column(mut index: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(char::from(b'A' + (index % 26) as u8));
        match (index / 26).checked_sub(1) {
            Some(rest) => index = rest,
            None => break,
        }
    }
    format!("column {}", letters.iter().rev().collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_row_names_the_columns_of_the_others() {
        let rows = [
            json!(["id", "Name", "", "Sum"]),
            json!(["a", "Ada", "x", 1.5]),
            json!([]),
            json!(["", ""]),
            json!(["b", ""]),
        ];
        let found = records(&rows, Some("_row")).unwrap();
        let expected = [
            json!({ "id": "a", "Name": "Ada", "column C": "x", "Sum": 1.5, "_row": 2 }),
            json!({ "id": "b", "Name": null, "column C": null, "Sum": null, "_row": 5 }),
        ];
        assert_eq!(found, expected);
        assert_eq!(records(&[], None).unwrap(), Vec::<Json>::new());
        assert_eq!(records(&rows[..1], None).unwrap(), Vec::<Json>::new());
    }

    #[test]
    fn two_columns_of_one_name_are_refused() {
        for rows in [json!([["Name", "Name"]]), json!([["_row"]])] {
            let problem = records(rows.as_array().unwrap(), Some("_row")).unwrap_err();
            assert!(problem.message.contains("two columns"), "{}", problem.message);
        }
    }

    #[test]
    fn columns_have_letters() {
        for (index, name) in [(0, "A"), (25, "Z"), (26, "AA"), (51, "AZ"), (52, "BA"), (702, "AAA")]
        {
            assert_eq!(column(index), format!("column {name}"));
        }
    }
}

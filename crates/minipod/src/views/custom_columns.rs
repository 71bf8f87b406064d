//! `-o custom-columns=NAME:.metadata.name,IP:.status.podIP`.

use serde_json::Value;

use super::jsonpath::{JsonPathError, Template, plain};
use super::table::Table;

/// A column: its header and where its cells come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    header: String,
    path: Template,
}

/// Why columns cannot be used, as a sentence of kubectl's.
type Problem = String;

/// Reads `HEADER:PATH,…`.
pub(crate) fn parse(spec: &str) -> Result<Vec<Column>, Problem> {
    if spec.trim().is_empty() {
        return Err("custom-columns format specified but no custom columns given".into());
    }
    spec.split(',').map(|part| column(part, spec)).collect()
}

/// Reads a file of two lines: the headers, and below each its path.
pub(crate) fn parse_file(text: &str) -> Result<Vec<Column>, Problem> {
    let mut lines = text.lines();
    let headers: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let paths: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    if headers.is_empty() || headers.len() != paths.len() {
        return Err(format!(
            "number of headers ({}) and field specifications ({}) don't match",
            headers.len(),
            paths.len()
        ));
    }
    let columns = headers.iter().zip(paths).map(|(header, path)| {
        let path = Template::parse_relaxed(path).map_err(|error| error.to_string())?;
        Ok(Column { header: (*header).to_owned(), path })
    });
    columns.collect()
}

fn column(part: &str, spec: &str) -> Result<Column, Problem> {
    let (header, path) = part.split_once(':').ok_or_else(|| {
        format!(
            "unexpected custom-columns spec: {part}, expected <header>:<json-path-expr> in {spec:?}"
        )
    })?;
    let path = Template::parse_relaxed(path).map_err(|error| error.to_string())?;
    Ok(Column { header: header.to_owned(), path })
}

/// The header's cells.
pub(crate) fn header(columns: &[Column]) -> Vec<String> {
    columns.iter().map(|column| column.header.clone()).collect()
}

/// One object's cells; what is not there is `<none>`.
pub(crate) fn row(columns: &[Column], object: &Value) -> Result<Vec<String>, JsonPathError> {
    let cell = |column: &Column| {
        let values = column.path.values(object)?;
        let texts: Vec<String> = values.iter().map(plain).collect();
        Ok(if texts.is_empty() { "<none>".to_owned() } else { texts.join(",") })
    };
    columns.iter().map(cell).collect()
}

/// The whole table.
pub(crate) fn table(
    columns: &[Column],
    objects: &[Value],
    with_header: bool,
) -> Result<String, JsonPathError> {
    let header = with_header.then(|| header(columns));
    let rows = objects.iter().map(|object| row(columns, object));
    let rows: Vec<Vec<String>> =
        header.into_iter().map(Ok).chain(rows).collect::<Result<_, _>>()?;
    Ok(Table::default().text(&rows))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_show_what_their_paths_find() {
        let columns = parse("NAME:.metadata.name,IMAGES:spec.containers[*].image,X:{.x}").unwrap();
        let pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [{"image": "a"}, {"image": "b"}]}});
        insta::assert_snapshot!(table(&columns, &[pod], true).unwrap(), @r"
        NAME   IMAGES   X
        web    a,b      <none>
        ");
        assert!(parse("NAME").unwrap_err().contains("expected <header>:<json-path-expr>"));
        assert_eq!(parse_file("A B\n.a .b\n").unwrap(), parse("A:.a,B:.b").unwrap());
    }
}

/// A part of `report.html` that a method adds: a sentence, charts, a table.
public struct ReportSection: Sendable {
    let title: String
    /// Paragraphs before the charts.
    let text: [String]
    let charts: [Chart]
    /// Rows of a table, the first cell of each its name.
    let rows: [[String]]
}

import Testing
import YuyanText

/// The moment that the goldens were made at.
let goldenDate = TemplateDate(year: 2026, month: 3, day: 4, hour: 15, minute: 6, second: 7)

@Suite("Template")
struct TemplateTests {
    @Test("every case gives the output of jinja2, or is refused where jinja2 refuses")
    func agreesWithReference() throws {
        let goldens = try GoldenJSON.read(GoldenJSON.path("templates/cases.json"))
        let common = try #require(goldens["variables"]).variables
        let cases = try #require(goldens["cases"]).items
        #expect(cases.count > 600)
        for golden in cases {
            let source = try #require(golden["source"]?.text)
            let variables = golden["variables"]?.variables ?? common
            do {
                let template = try Template(source: source)
                let text = try template.render(variables: variables, date: goldenDate)
                guard let expected = golden["output"]?.text else {
                    Issue.record("\(source) gave \(text); jinja2: \(golden["error"]?.text ?? "")")
                    continue
                }
                #expect(
                    Array(text.utf8) == Array(expected.utf8),
                    "\(source)\n found    \(text.debugDescription)\n expected \(expected.debugDescription)"
                )
            } catch {
                if let expected = golden["output"]?.text {
                    Issue.record("\(source) gave \(error); jinja2: \(expected)")
                }
            }
        }
    }
}

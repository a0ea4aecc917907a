import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

@Suite("docs/training.md")
struct RecipeDocumentationTests {
    @Test("its table of keys is that of the code")
    func listsKeys() throws {
        let path = Goldens.path("../../docs/training.md")
        let file = try MappedFile(path: path)
        let text = file.withBytes { all in
            all.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
        }
        let start = try #require(text.firstRange(of: "out of date -->\n"))
        let end = try #require(text.firstRange(of: "<!-- end of keys -->"))
        let found = String(text[start.upperBound..<end.lowerBound])
        if found != Self.table { print("docs/training.md should hold:\n\(Self.table)") }
        #expect(found == Self.table)
    }

    static var table: String {
        var table = "| key | default | may change | what it does |\n|---|---|---|---|\n"
        for key in Recipe.keys {
            let value = key.defaultText.isEmpty ? "" : "`\(key.defaultText)`"
            let free = key.resumption == .free ? "yes" : ""
            let help = key.help.replacing("|", with: "\\|")
            table += "| `\(key.name)` | \(value) | \(free) | \(help) |\n"
        }
        return table
    }
}

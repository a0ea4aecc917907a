import Testing

/// The identifiers that follow "arXiv:" in a text, such as 2104.09864.
private func arXivIdentifiers(in text: String) -> Set<String> {
    var found: Set<String> = []
    let marker = Array("arXiv:".utf8)
    let bytes = Array(text.utf8)
    var position = 0
    while position + marker.count <= bytes.count {
        guard bytes[position..<position + marker.count].elementsEqual(marker) else {
            position += 1
            continue
        }
        position += marker.count
        let identifier = bytes[position...].prefix {
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: ".")
        }
        // A sentence may end right behind the number.
        let number = identifier.last == UInt8(ascii: ".") ? identifier.dropLast() : identifier
        found.insert(String(decoding: number, as: UTF8.self))
    }
    return found
}

/// The texts between backticks.
private func quoted(in line: Substring) -> [Substring] {
    let parts = line.split(separator: "`", omittingEmptySubsequences: false)
    return parts.indices.filter { $0 % 2 == 1 }.map { parts[$0] }
}

@Suite("docs/papers.md")
struct PapersTests {
    @Test("lists every cited paper with every file that cites it")
    func listsCitations() throws {
        let lines = try Repository.text("docs/papers.md").split(separator: "\n")
        var citations = 0
        for file in Repository.sources(under: "Sources") {
            let name = file.dropFirst("Sources/".count)
            for identifier in arXivIdentifiers(in: try Repository.text(file)) {
                citations += 1
                let entry = lines.contains {
                    arXivIdentifiers(in: String($0)).contains(identifier)
                        && quoted(in: $0).contains(name)
                }
                #expect(entry, "arXiv:\(identifier) is cited in \(name) without an entry there")
            }
        }
        #expect(citations > 0)
    }

    @Test("names only files that exist, and papers that they cite")
    func namesCitations() throws {
        for line in try Repository.text("docs/papers.md").split(separator: "\n") {
            let files = quoted(in: line).filter { Repository.isSource(String($0)) }
            var cited: Set<String> = []
            for file in files {
                cited.formUnion(arXivIdentifiers(in: try Repository.text("Sources/\(file)")))
            }
            guard !files.isEmpty else { continue }
            for identifier in arXivIdentifiers(in: String(line)) {
                #expect(cited.contains(identifier), "arXiv:\(identifier) is in none of \(files)")
            }
        }
    }

    @Test("identifiers are found wherever they stand")
    func identifiers() {
        let text = "arXiv:1805.02867; (arXiv:2205.14135), see arXiv:2309.06180. arXiv 1"
        #expect(arXivIdentifiers(in: text) == ["1805.02867", "2205.14135", "2309.06180"])
        #expect(arXivIdentifiers(in: "arXi").isEmpty)
    }
}

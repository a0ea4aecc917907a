import TestSupport
import Testing
import YuyanFormats

@testable import YuyanConstraints

/// Whether a constraint over a byte vocabulary accepts a text as a whole.
func accepts(_ constraint: CompiledConstraint, _ text: [UInt8]) -> Bool {
    var state = constraint.start()
    for byte in text {
        guard state.allows(Int32(byte)) else { return false }
        state.accept(Int32(byte))
    }
    return state.allows(256)
}

func document(_ text: String) throws -> JSONDocument {
    try JSONDocument(bytes: Array(text.utf8), name: "schema")
}

@Suite("Schemas against jsonschema")
struct SchemaGoldenTests {
    struct Case: Sendable {
        let schema: JSONCursor
        let canonical: [String]
        let others: [(text: String, isValid: Bool)]
    }

    static let cases: [Case] = {
        let path = Goldens.path("constraints/schemas.json")
        guard let file = try? JSONDocument(path: path), let cases = file.root.array else {
            return []
        }
        return cases.compactMap { item in
            guard let schema = item["schema"], let canonical = item["canonical"]?.array,
                let others = item["others"]?.array
            else { return nil }
            return Case(
                schema: schema, canonical: canonical.compactMap(\.string),
                others: others.map { ($0[0]?.string ?? "", $0[1]?.bool ?? true) })
        }
    }()

    @Test("valid documents in canonical form are accepted, invalid ones are refused")
    func verdictsAgree() throws {
        try #require(Self.cases.count == 150)
        for item in Self.cases {
            let schema = text(item.schema)
            let constraint: CompiledConstraint
            do {
                constraint = try CompiledConstraint(
                    .jsonSchema(item.schema), vocabulary: Vocabularies.bytes)
            } catch {
                #expect(item.canonical.isEmpty, "\(error): \(schema)")
                continue
            }
            for text in item.canonical {
                #expect(accepts(constraint, Array(text.utf8)), "refused \(text) of \(schema)")
            }
            for (text, isValid) in item.others where accepts(constraint, Array(text.utf8)) {
                #expect(isValid, "accepted \(text) of \(schema)")
            }
        }
    }

    @Test("the tests' own validator agrees with jsonschema on every document")
    func validatorAgrees() throws {
        for item in Self.cases {
            let validator = SchemaValidator(root: item.schema)
            for text in item.canonical {
                #expect(validator.isValid(try document(text).root), "\(text)")
            }
            for (text, isValid) in item.others {
                let verdict = validator.isValid(try document(text).root)
                // It knows no formats and no patterns, so it may be too lenient, never too strict.
                if isValid { #expect(verdict, "\(text) of \(self.text(item.schema))") }
            }
        }
    }

    @Test("random walks over the masks end in documents that satisfy the schema")
    func walksAreValid() throws {
        var random = SeededGenerator(seed: 11)
        for (index, item) in Self.cases.enumerated() {
            let vocabulary = index % 2 == 0 ? Vocabularies.pieces : Vocabularies.bytes
            guard
                let constraint = try? CompiledConstraint(
                    .jsonSchema(item.schema), vocabulary: vocabulary)
            else { continue }
            let validator = SchemaValidator(root: item.schema)
            let least = leastTokens(constraint, vocabulary)
            for budget in [least, least + 1, least + 3, least + 20, least + 120] {
                let walk = Walk(constraint, vocabulary, budget: budget, &random)
                #expect(walk.isComplete, "\(walk.text) of \(text(item.schema)) in \(budget)")
                #expect(!walk.isStuck)
                let bytes = walk.bytes
                let document = try? JSONDocument(bytes: bytes, name: "walk")
                let root = try #require(document?.root, "\(walk.text)")
                #expect(validator.isValid(root), "\(walk.text) of \(text(item.schema))")
                // What one vocabulary writes, the other reads.
                let other = try CompiledConstraint(
                    .jsonSchema(item.schema), vocabulary: Vocabularies.bytes)
                #expect(accepts(other, bytes))
            }
        }
    }

    private func text(_ value: JSONCursor) -> String {
        switch value.kind {
        case .object:
            "{"
                + (value.entries ?? []).map { "\($0.key): \(text($0.value))" }
                .joined(separator: ", ") + "}"
        case .array: "[" + (value.array?.map { text($0) } ?? []).joined(separator: ", ") + "]"
        case .string: "'\(value.string ?? "")'"
        case .number: "\(value.double ?? 0)"
        case .bool: "\(value.bool ?? false)"
        case .null: "null"
        }
    }
}

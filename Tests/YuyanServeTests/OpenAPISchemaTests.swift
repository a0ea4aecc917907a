import Testing
import YuyanFormats

@testable import YuyanServe

@Suite("The published schema")
struct OpenAPISchemaTests {
    @Test(
        "has a pattern that takes the numbers below a limit, and no other text",
        arguments: [1, 2, 7, 10, 11, 20, 99, 100, 101, 999, 1000, 1024, 49_152, 151_936])
    func digits(_ limit: Int) throws {
        let pattern = try Regex("^(\(FieldKind.digits(below: limit)))$")
        for number in [0...1200, max(0, limit - 1200)...limit + 1200].joined() {
            #expect(("\(number)".wholeMatch(of: pattern) != nil) == (number < limit), "\(number)")
        }
        for text in ["", "00", "01", "-1", "1.0", "x", "\(limit)0"] {
            #expect(text.wholeMatch(of: pattern) == nil, "\(text)")
        }
    }

    /// The schema of the body of a route of the fixture's service.
    private func body(_ path: String) throws -> JSONCursor {
        let root = try JSONDocument(
            bytes: try #require(ServiceFixture().service.openAPI), name: "openapi"
        ).root
        return try #require(
            root.at("paths", path, "post", "requestBody", "content", "application/json", "schema"))
    }

    @Test("does not name what is always refused")
    func refused() throws {
        let chat = try body("/v1/chat/completions")
        #expect(chat.at("properties", "chat_template") == nil)
        #expect(chat.at("properties", "chat_template_kwargs") != nil)
        let responses = try body("/v1/responses")
        #expect(responses.at("properties", "previous_response_id") == nil)
        #expect(responses.at("properties", "background", "anyOf", "0", "const")?.bool == false)
    }

    @Test("has the bounds of the checks")
    func bounds() throws {
        let chat = try body("/v1/chat/completions")
        let typical = chat.at("properties", "typical_p", "anyOf", "0")
        #expect(typical?["exclusiveMinimum"]?.double == 0 && typical?["maximum"]?.double == 1)
        let size = try ServiceFixture().engine.vocabularySize
        let stops = chat.at("properties", "stop_token_ids", "anyOf", "0", "items", "maximum")
        #expect(stops?.int == size - 1)
        #expect(chat.at("properties", "model", "anyOf", "0", "$ref") != nil)
    }

    @Test("allows one form of an answer at a time")
    func forms() throws {
        let branches = try #require(try body("/v1/chat/completions")["anyOf"]?.array)
        #expect(branches.count == ConstraintFields.names.count + 1)
        for branch in branches {
            let absent = branch["properties"]?.names ?? []
            let chosen = branch.at("required", "0")?.string
            #expect(Set(absent + [chosen].compactMap(\.self)) == Set(ConstraintFields.names))
            #expect(!absent.contains(chosen ?? ""))
        }
    }

    @Test("and the checks say of each kind of message what it has to hold")
    func variants() throws {
        let message = try #require(
            try body("/v1/chat/completions").at("properties", "messages", "items", "anyOf"))
        let required = (message.array.map(Array.init) ?? []).map { variant in
            (variant["required"]?.array.map(Array.init) ?? []).compactMap(\.string)
        }
        #expect(required == [["role", "content"], ["role"]])
        let document = try JSONDocument(
            bytes: Array(#"[{"role": "assistant"}, {"role": "user"}]"#.utf8), name: "messages")
        let kind = try #require(
            FieldTables(ServiceConfiguration(), vocabularySize: 10).chat.first {
                $0.name == "messages"
            }?.kind)
        let first = try #require(document.root[0])
        let second = try #require(document.root[1])
        guard case .list(let each, _) = kind else { throw FixtureError.unreadable("messages") }
        try each.check(first, at: "messages[0]")
        let error = #expect(throws: RequestError.self) { try each.check(second, at: "messages[1]") }
        #expect(error?.message.contains("messages[1].content") == true)
    }
}

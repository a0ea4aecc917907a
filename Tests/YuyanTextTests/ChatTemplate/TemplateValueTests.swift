import Testing
import YuyanText

@Suite("TemplateValue")
struct TemplateValueTests {
    @Test("texts are equal when their scalars are, not when they look equal")
    func scalars() {
        #expect(TemplateValue.string("\u{E9}") != .string("e\u{301}"))
        #expect(TemplateValue.string("\u{E9}") == .string("\u{E9}"))
        let set: Set<TemplateValue> = ["\u{E9}", "e\u{301}", "\u{E9}"]
        #expect(set.count == 2)
    }

    @Test("objects keep the order of insertion, and a repeated name its first place")
    func order() {
        var object = TemplateObject([("b", 1), ("a", 2), ("b", 3)])
        #expect(object.entries.map(\.key) == ["b", "a"])
        #expect(object["b"] == 3)
        object["c"] = true
        object["b"] = nil
        #expect(object.entries.map(\.key) == ["a", "c"])
        #expect(TemplateValue.object(object) == ["a": 2, "c": true])
        #expect(TemplateValue.object(object) != ["c": true, "a": 2])
    }

    @Test("a message without content is rendered as if the key were absent")
    func absent() throws {
        let template = try ChatTemplate(
            source:
                "{{ messages[0].content is defined }} {{ tools is none }} {{ documents is none }}")
        let message: TemplateValue = ["role": "user", "content": nil]
        #expect(try template.render(messages: [message]) == "False True True")
        let plain = ChatMessage(role: "user", content: "x").templateValue
        #expect(try template.render(messages: [plain]) == "True True True")
    }

    @Test("reasoning is found under each of its customary names")
    func reasoning() throws {
        let source = "{{ messages[0].reasoning_content }}|{{ messages[0].thinking }}"
        let template = try ChatTemplate(source: source)
        for name in ["reasoning_content", "thinking", "reasoning"] {
            let message = TemplateValue.object(TemplateObject([("role", "user"), (name, "why")]))
            #expect(try template.render(messages: [message]) == "why|why")
        }
    }

    @Test("a generation block whose place is unknown is refused for training only")
    func untraceable() throws {
        let source = "{% set a %}{% generation %}x{% endgeneration %}{% endset %}{{ a }}"
        let template = try ChatTemplate(source: source)
        #expect(try template.render(messages: []) == "x")
        #expect(throws: TemplateError.untraceableGeneration(template: "chat template", line: 1)) {
            try template.renderWithGenerations(messages: [])
        }
    }

    @Test("the present moment lies after this was written")
    func now() {
        let now = TemplateDate.now()
        #expect(now.year >= 2025)
        #expect((1...12).contains(now.month) && (1...31).contains(now.day))
    }
}

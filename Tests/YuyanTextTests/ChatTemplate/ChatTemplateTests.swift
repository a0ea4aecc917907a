import Testing
import YuyanText

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite("ChatTemplate")
struct ChatTemplateTests {
    @Test("templates of real models give the prompts of transformers")
    func agreesWithTransformers() throws {
        try compare(GoldenJSON.path("templates/models.json"))
    }

    @Test(
        "templates outside the repository give the prompts of transformers",
        .enabled(if: getenv("YUYAN_TEMPLATE_RENDERS") != nil))
    func agreesOnOtherTemplates() throws {
        let path = try #require(getenv("YUYAN_TEMPLATE_RENDERS"))
        try compare(String(cString: path))
    }

    private func compare(_ path: String) throws {
        let goldens = try GoldenJSON.read(path)
        let conversations = try #require(goldens["conversations"]).items
        let templates = try #require(goldens["templates"]).items
        #expect(!conversations.isEmpty && !templates.isEmpty)
        for golden in templates {
            let name = try #require(golden["name"]?.text)
            let source =
                try golden["source"]?.text
                ?? GoldenJSON.readText(GoldenJSON.path("templates/\(name).jinja"))
            let renders = try #require(golden["renders"]).items
            for (conversation, render) in zip(conversations, renders) {
                try compare(name, source, conversation, render)
            }
        }
    }

    private func compare(
        _ name: String, _ source: String, _ conversation: TemplateValue, _ render: TemplateValue
    ) throws {
        let place = "\(name), \(conversation["name"]?.text ?? "")"
        var variables = conversation["variables"]?.variables ?? [:]
        variables["documents"] = conversation["documents"]
        do {
            let template = try ChatTemplate(source: source, name: name)
            let messages = try #require(conversation["messages"]).items
            let prompts = conversation["add_generation_prompt"] == true
            let text = try template.render(
                messages: messages, tools: conversation["tools"]?.items,
                addGenerationPrompt: prompts, variables: variables, date: goldenDate)
            guard let expected = render["output"]?.text else {
                Issue.record("\(place): rendered; transformers: \(render["error"]?.text ?? "")")
                return
            }
            #expect(
                Array(text.utf8) == Array(expected.utf8),
                "\(place)\n found    \(text.debugDescription)\n expected \(expected.debugDescription)"
            )
            guard let spans = render["spans"]?.items else { return }
            let rendering = try template.renderWithGenerations(
                messages: messages, tools: conversation["tools"]?.items,
                addGenerationPrompt: prompts, variables: variables, date: goldenDate)
            let found = rendering.generated.map {
                TemplateValue.array([.integer($0.lowerBound), .integer($0.upperBound)])
            }
            #expect(found == spans, "\(place)")
        } catch let error as TemplateError {
            if render["output"] != nil { Issue.record("\(place): \(error)") }
        }
    }
}

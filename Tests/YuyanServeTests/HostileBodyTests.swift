import TestSupport
import Testing
import YuyanText
import YuyanEngine
import YuyanFormats

@testable import YuyanServe

@Suite("Hostile bodies")
struct HostileBodyTests {
    private struct Endpoint {
        let path: String
        let fields: [Field]
        /// A valid body without its closing brace.
        let base: String
    }

    private static let endpoints: [Endpoint] = {
        let tables = FieldTables(ServiceConfiguration(), vocabularySize: 1000)
        let messages = #""messages": [{"role": "user", "content": "Hi"}]"#
        return [
            Endpoint(path: "/v1/chat/completions", fields: tables.chat, base: "{" + messages),
            Endpoint(
                path: "/v1/completions", fields: tables.completions, base: #"{"prompt": "Hi""#),
            Endpoint(path: "/v1/embeddings", fields: tables.embeddings, base: #"{"input": "Hi""#),
            Endpoint(path: "/v1/responses", fields: tables.responses, base: #"{"input": "Hi""#),
            Endpoint(
                path: "/v1/messages", fields: tables.messages,
                base: #"{"max_tokens": 9, "# + messages),
            Endpoint(path: "/tokenize", fields: tables.tokenize, base: #"{"content": "Hi""#),
            Endpoint(path: "/detokenize", fields: tables.detokenize, base: #"{"tokens": [5]"#),
        ]
    }()

    /// Values of every type and at the edges of numbers.
    private static let values = [
        "true", "7", "-7", "1e300", "-1e300", "1e999", "1000000000", "9223372036854775808", "0.5",
        "\"\"", "\"text\"", "[]", "[1]", "[null]", "[[]]", "[\"\"]", "{}", "{\"a\": 1}", "[{}]",
        "{\"type\": 7}", "{\"type\": \"nonsense\"}", "[{\"type\": []}]",
    ]

    @Test("of every wrong type for every field get 4xx that names the field")
    func wrongTypes() async throws {
        let fixture = try ServiceFixture()
        var refused = 0
        for endpoint in Self.endpoints {
            for field in endpoint.fields {
                for value in Self.values {
                    let body = endpoint.base + ", \"\(field.name)\": \(value)}"
                    let response = await fixture.post(endpoint.path, body)
                    #expect((200..<500).contains(response.status), "\(endpoint.path) \(body)")
                    guard let document = try? JSONDocument(bytes: Array(body.utf8), name: "b"),
                        let given = document.root[field.name]
                    else { continue }
                    let isWrong: Bool
                    do throws(RequestError) {
                        try field.kind.check(given, at: field.name)
                        isWrong = false
                    } catch {
                        isWrong = true
                    }
                    guard isWrong else { continue }
                    refused += 1
                    let (status, answer) = try ServiceFixture.json(response)
                    #expect(status == 400, "\(endpoint.path) \(body)")
                    let message = answer.at("error", "message")?.string ?? ""
                    #expect(message.hasPrefix("'\(field.name)"), "\(body): \(message)")
                    guard endpoint.path != "/v1/messages" else { continue }
                    let param = answer.at("error", "param")?.string ?? ""
                    #expect(param.hasPrefix(field.name), "\(body): \(param)")
                }
            }
        }
        #expect(refused > 1500)
    }

    @Test(
        "that are absurd are refused by name",
        arguments: [
            (#""n": 1000000000"#, "n"), (#""temperature": -1"#, "temperature"),
            (#""top_logprobs": 21, "logprobs": true"#, "top_logprobs"),
            (#""top_logprobs": 3"#, "top_logprobs"), (#""max_tokens": 0"#, "max_tokens"),
            (#""max_tokens": 4, "min_tokens": 5"#, "min_tokens"), (#""stop": """#, "stop"),
            (#""stop": ["a", ""]"#, "stop[1]"), (#""logit_bias": {"x": 1}"#, "logit_bias"),
            (#""logit_bias": {"99999999": 1}"#, "logit_bias"), (#""seed": 1.5"#, "seed"),
            (#""logit_bias": {"5": 101}"#, "logit_bias.5"),
            (#""stop_token_ids": [-1]"#, "stop_token_ids[0]"),
            (#""stop_token_ids": [2000000]"#, "stop_token_ids[0]"),
            (#""tool_choice": "required""#, "tool_choice"),
            (#""chat_template": "x""#, "chat_template"), (#""typical_p": 0"#, "typical_p"),
            (#""truncate_prompt_tokens": 0"#, "truncate_prompt_tokens"),
            (#""tool_choice": {"type": "function", "function": {"name": "g"}}"#, "tool_choice"),
            (#""guided_regex": "(""#, "guided_regex"), (#""guided_json": "{""#, "guided_json"),
            (#""grammar": "root ::= missing""#, "grammar"),
            (#""response_format": {"type": "json_schema"}"#, "response_format.json_schema.schema"),
            (#""guided_regex": "a", "guided_choice": ["b"]"#, "guided_choice"),
            (#""guided_regex": "(a{100}){100}", "max_tokens": 4"#, "max_tokens"),
            (#""guided_regex": "((((a{100}){100}){100}){100}){100}""#, "guided_regex"),
            (#""lora": [{"id": 3}]"#, "lora[0].id"),
            (#""lora": [{"id": 0, "scale": 0.5}]"#, "lora[0].scale"),
            (#""continue_final_message": true"#, "continue_final_message"),
            (
                #""tools": [{"type": "function", "function": {"name": ""}}]"#,
                "tools[0].function.name"
            ),
        ])
    func absurd(_ field: String, _ param: String) async throws {
        let fixture = try ServiceFixture()
        let (status, body) = try await fixture.json(
            "/v1/chat/completions", #"{"messages": [{"role": "user", "content": "Hi"}], \#(field)}"#
        )
        #expect(status == 400)
        #expect(body.at("error", "param")?.string == param)
        #expect(body.at("error", "type")?.string == "invalid_request_error")
    }

    @Test(
        "with wrong messages are refused by place",
        arguments: [
            (#"{}"#, "messages"), (#"{"messages": []}"#, "messages"),
            (#"{"messages": [7]}"#, "messages[0]"), (#"{"messages": [{}]}"#, "messages[0].role"),
            (#"{"messages": [{"role": "king", "content": "x"}]}"#, "messages[0].role"),
            (#"{"messages": [{"role": "user"}]}"#, "messages[0].content"),
            (#"{"messages": [{"role": "user", "content": 7}]}"#, "messages[0].content"),
            (
                #"{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}"#,
                "messages[0].content[0].type"
            ),
            (
                #"{"messages": [{"role": "user", "content": [{"type": "text"}]}]}"#,
                "messages[0].content[0].text"
            ),
        ])
    func messages(_ body: String, _ param: String) async throws {
        let fixture = try ServiceFixture()
        let (status, answer) = try await fixture.json("/v1/chat/completions", body)
        #expect(status == 400)
        #expect(answer.at("error", "param")?.string == param)
    }

    @Test(
        "that are no JSON object in UTF-8 get 400",
        arguments: [
            Array("".utf8), Array("{".utf8), Array("[]".utf8), Array("7".utf8), Array("null".utf8),
            Array("{\"messages\": \"\\ud800\"}".utf8), [0x7B, 0xFF, 0x7D],
            Array("{\"a\": 1,}".utf8),
            Array(repeating: UInt8(ascii: "["), count: 100_000),
        ])
    func noJSON(_ bytes: [UInt8]) async throws {
        let fixture = try ServiceFixture()
        for route in Service.routes where route.method == "POST" {
            let request = ServiceRequest(method: "POST", path: route.path, body: bytes)
            let response = await fixture.service.respond(to: request)
            #expect(response.status == 400, "\(route.path)")
        }
    }

    @Test("with many stop strings, tools or fields are refused quickly")
    func many() async throws {
        let fixture = try ServiceFixture()
        let stops = Array(repeating: "\"x\"", count: 100_000).joined(separator: ",")
        let fields = (0..<100_000).map { "\"f\($0)\": 1" }.joined(separator: ",")
        let start = #"{"messages": [{"role": "user", "content": "Hi"}], "#
        for (body, param) in [("\"stop\": [\(stops)]", "stop"), (fields, "body")] {
            let (status, answer) = try await fixture.json(
                "/v1/chat/completions", start + body + "}")
            #expect(status == 400 && answer.at("error", "param")?.string == param)
        }
    }

    @Test("damaged at random never get 5xx", arguments: 0..<8)
    func mutated(_ seed: UInt64) async throws {
        let bodies = [
            (
                "/v1/chat/completions",
                #"{"model": "tiny", "messages": [{"role": "system", "content": "Be."}, {"role": "user", "content": [{"type": "text", "text": "Hi \u00e9"}]}, {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}, {"role": "tool", "tool_call_id": "c", "content": "7"}], "tools": [\#(ToolTests.tool)], "tool_choice": "auto", "stop": ["a", "b"], "n": 2, "temperature": 0.7, "logit_bias": {"5": 1}, "logprobs": true, "top_logprobs": 2, "max_tokens": 4}"#
            ),
            (
                "/v1/completions",
                #"{"prompt": ["Hi", "there"], "echo": true, "logprobs": 2, "max_tokens": 2, "stop": "x", "seed": 4}"#
            ),
            (
                "/v1/embeddings",
                #"{"input": [[5, 6], [7]], "encoding_format": "base64", "dimensions": 2}"#
            ),
            (
                "/v1/messages",
                #"{"model": "tiny", "max_tokens": 4, "system": [{"type": "text", "text": "Be"}], "messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}, {"type": "text", "text": "Hi"}]}], "tools": [{"name": "f", "input_schema": {"type": "object"}}]}"#
            ),
            (
                "/v1/responses",
                #"{"input": [{"role": "user", "content": "Hi"}, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}, {"type": "function_call_output", "call_id": "c", "output": "7"}], "instructions": "Be", "max_output_tokens": 4}"#
            ),
        ]
        let fixture = try ServiceFixture(template: ServiceFixture.qwen2)
        for (path, body) in bodies {
            var mutations = Mutations(of: Array(body.utf8), seed: seed)
            for _ in 0..<60 {
                let bytes = mutations.next()
                let response = await fixture.service.respond(
                    to: ServiceRequest(method: "POST", path: path, body: bytes))
                #expect(response.status < 500, "\(path) \(String(decoding: bytes, as: UTF8.self))")
                if case .events(let events) = response.body { for await _ in events {} }
            }
        }
    }
}

import Testing
import YuyanText

@Suite("TemplateLimits")
struct TemplateLimitsTests {
    private func failure(
        _ source: String, limits: TemplateLimits = TemplateLimits(),
        variables: [String: TemplateValue] = [:]
    ) -> TemplateError? {
        do throws(TemplateError) {
            _ = try Template(source: source).render(variables: variables, limits: limits)
            return nil
        } catch {
            return error
        }
    }

    private func isLimit(_ error: TemplateError?, _ kind: TemplateLimits.Kind) -> Bool {
        if case .limit(_, _, let what, _)? = error { return what == kind }
        return false
    }

    @Test(
        "nested source of any shape is a typed error, never a stack overflow",
        arguments: [
            "(", "[", "{", "{1:", "-", "+", "not ", "a[", "a(", "a.b", "a|f(", "1 if 1 else ",
            "a is b(", "a is b ", "1 if ", "a ~ ", "1+", "2**", "a and ", "a == ", "x(*", "a|upper",
            "a[1:", "-(", "[[", "((a),", "|upper", ".x", "()", "[0]",
        ])
    func nesting(_ piece: String) {
        let pieces = String(repeating: piece, count: 100_000 / piece.utf8.count)
        #expect(failure("{{ a" + pieces) != nil)
        #expect(failure("{{ " + pieces + " }}") != nil)
        #expect(failure("{% set " + pieces) != nil)
        #expect(failure("{% for " + pieces) != nil)
    }

    @Test(
        "nested statements are a typed error",
        arguments: [
            "{% if a %}", "{% for a in b %}", "{% set a %}", "{% macro a() %}", "{% call a() %}",
            "{% filter upper %}", "{% with a = 1 %}", "{% generation %}", "{% block a %}",
            "{% if a %}{% else %}",
        ])
    func statements(_ piece: String) {
        #expect(failure(String(repeating: piece, count: 5000)) != nil)
    }

    @Test("nesting that people write is accepted")
    func modestNesting() throws {
        let open = String(repeating: "(", count: 40)
        let close = String(repeating: ")", count: 40)
        #expect(try Template(source: "{{ \(open)1\(close) }}").render() == "1")
        let sum = Array(repeating: "1", count: 5000).joined(separator: " + ")
        #expect(try Template(source: "{{ \(sum) }}").render() == "5000")
        let chain = Array(repeating: "| trim", count: 60).joined()
        #expect(try Template(source: "{{ 'a' \(chain) }}").render() == "a")
        let ifs = String(repeating: "{% if true %}", count: 40)
        let ends = String(repeating: "{% endif %}", count: 40)
        #expect(try Template(source: "\(ifs)x\(ends)").render() == "x")
        let elifs = String(repeating: "{% elif x == 2 %}b", count: 2000)
        #expect(
            try Template(source: "{% if x == 1 %}a\(elifs){% else %}c{% endif %}").render() == "c")
    }

    @Test("a template that does not end is stopped")
    func endless() {
        var limits = TemplateLimits()
        limits.steps = 100_000
        let loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
        #expect(isLimit(failure(loops, limits: limits), .steps))
        #expect(isLimit(failure("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), .depth))
        let mutual =
            "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}"
        #expect(isLimit(failure(mutual), .depth))
        #expect(isLimit(failure("{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}"), .depth))
        let branching =
            "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}"
        #expect(isLimit(failure(branching, limits: limits), .steps))
    }

    @Test(
        "a template cannot ask for unbounded memory",
        arguments: [
            "{{ 'a' * 10 ** 12 }}", "{{ 10 ** 12 * 'a' }}", "{{ [0] * 10 ** 12 }}",
            "{{ 'a' | center(10 ** 12) }}", "{{ 'a'.ljust(10 ** 12) }}",
            "{{ '1'.zfill(10 ** 12) }}",
            "{{ 'a\nb' | indent(10 ** 12) }}", "{{ [1] | tojson(indent=10 ** 12) }}",
            "{{ '%999999999d' | format(1) }}", "{{ '{:999999999}'.format(1) }}",
            "{{ '%.999999999d' | format(1) }}", "{{ '\t'.expandtabs(10 ** 12) }}",
            "{{ [1] | batch(10 ** 12, 0) | list }}", "{{ [1] | slice(10 ** 12) | list }}",
            "{{ range(10 ** 9) }}", "{{ range(-9223372036854775807, 9223372036854775807) }}",
            "{{ ('a' * 10 ** 6).replace('a', 'b' * 10 ** 6) }}",
            "{{ ('b' * 10 ** 6).join('a' * 10 ** 5) }}",
            "{% set n = namespace(s='ab') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
            "{% set n = namespace(s=[1]) %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
            "{% set n = namespace(s=[1]) %}{% for i in range(99) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s }}",
            "{% set n = namespace(s='x') %}{% for i in range(9999) %}{% set n.s = [n.s] %}{% endfor %}",
            "{% set n = namespace(s='x') %}{% for i in range(9999) %}{% set n.s = n.s | batch(1) %}{% endfor %}",
            "{% for i in range(99999) %}{{ 'a' * 99999 }}{% endfor %}",
            "{{ 9223372036854775807 + 1 }}", "{{ 2 ** 64 }}", "{{ -9223372036854775807 - 2 }}",
            "{{ (-9223372036854775807 - 1) // -1 }}", "{{ -(-9223372036854775807 - 1) }}",
            "{{ (-9223372036854775807 - 1) | abs }}", "{{ 99999999999999999999 }}",
            "{{ '99999999999999999999' | int }}", "{{ 1e300 | int }}", "{{ 10 ** 18 * 10 ** 18 }}",
        ])
    func memory(_ source: String) {
        #expect(failure(source) != nil, "\(source)")
    }

    @Test(
        "chains and cycles of references are taken down without a stack overflow",
        arguments: [
            "{% set n = namespace() %}{% set n.n = n %}",
            "{% set n = namespace() %}{% for i in range(99999) %}{% set n.p = namespace(p=n.p) %}{% endfor %}",
            "{% set n = namespace() %}{% for i in range(50000) %}{% set p = n.m %}{% macro m() %}{{ p }}{% endmacro %}{% set n.m = m %}{% endfor %}",
            "{% set n = namespace() %}{% for i in range(9999) %}{% set p = n.l %}{% for j in [1] recursive %}{% set n.l = loop %}{% endfor %}{% endfor %}",
        ])
    func references(_ source: String) {
        #expect(failure(source) == nil, "\(source)")
    }

    @Test("values nested too deeply for the stack are refused")
    func deepValues() {
        var value: TemplateValue = "x"
        for _ in 0..<5000 { value = [value] }
        #expect(isLimit(failure("{{ v }}", variables: ["v": value]), .depth))
        let cyclic = "{% set n = namespace() %}{% set n.n = n %}{{ n }}"
        #expect(isLimit(failure(cyclic), .depth))
    }

    @Test("truncated and damaged templates are refused or rendered, never a crash")
    func damaged() throws {
        let source = try GoldenJSON.readText(GoldenJSON.path("templates/Qwen3-0.6B.jinja"))
        let bytes = Array(source.utf8)
        let message: TemplateValue = ["role": "user", "content": "x"]
        let noise = Array("{}%#'\"()[]|-~\\\n\u{0}é0.".utf8)
        var state: UInt64 = 1
        for cut in stride(from: 0, to: bytes.count, by: 7) {
            var damaged = Array(bytes[..<cut])
            _ = failure(
                String(decoding: damaged, as: UTF8.self), variables: ["messages": [message]])
            damaged = bytes
            for _ in 0..<3 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                let place = Int(state >> 33) % bytes.count
                damaged[place] = noise[Int(state >> 20) % noise.count]
            }
            let error = failure(
                String(decoding: damaged, as: UTF8.self), variables: ["messages": [message]])
            if let error { #expect(error.description.contains("template:")) }
        }
    }

    @Test("errors say where, what was found and what was expected")
    func messages() {
        #expect(
            failure("a\n  {{ 1 + }}")?.description
                == "template:2:10: found '}}', expected an expression")
        #expect(
            failure("{{ a | uper }}")?.description
                == "template:1: no filter 'uper'; nearest: upper, attr, e")
        #expect(
            failure("\n\n{{ a.b }}")
                == .undefinedName(template: "template", line: 3, name: "a"))
        #expect(
            failure("{{ raise_exception('no') }}")
                == .raised(template: "template", line: 1, message: "no"))
    }
}

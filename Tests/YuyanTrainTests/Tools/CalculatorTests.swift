import TestSupport
import Testing
import YuyanFormats
import YuyanText

@testable import YuyanTrain

@Suite("The calculator")
struct CalculatorTests {
    @Test(
        "computes exactly",
        arguments: [
            ("1 + 2", "3"), ("12*(3+4)/5", "84/5"), ("-2^2", "-4"), ("0.1 + 0.2", "3/10"),
            ("2^100", "1267650600228229401496703205376"), ("7 / 7", "1"), ("1/3 - 1/3", "0"),
        ])
    func computes(_ expression: String, _ value: String) throws {
        let found = try toolSet("[calculator]").replies(
            "calculator", #"{"expression": "\#(expression)"}"#)
        #expect(found == [.content(value)])
    }

    @Test("a bare number is a calculation too")
    func number() throws {
        #expect(
            try toolSet("[calculator]").replies("calculator", #"{"expression": 7}"#)
                == [.content("7")])
    }

    @Test(
        "refuses what has no value, in words that the model reads",
        arguments: [
            (#"{"expression": "1/0"}"#, "division by 0"),
            (#"{"expression": "two"}"#, "'two' has no value"), ("{}", "'expression' is missing"),
            (#"{"expression": null}"#, "has no value"), ("[1]", "no JSON object"),
            ("{", "no JSON object"), (#"{"expression": "9^9^9^9"}"#, "has no value"),
        ])
    func refuses(_ arguments: String, _ reason: String) throws {
        let found = try toolSet("[calculator]").replies("calculator", arguments)
        guard case .refused(let what) = found[0] else {
            Issue.record("\(found)")
            return
        }
        #expect(what.contains(reason), "\(what)")
        #expect(found[0].isFailure && found[0].text.hasPrefix(#"{"error": ""#))
    }

    @Test("tells the model what it takes")
    func offers() throws {
        let offer = Calculator().offer
        #expect(offer.parameters?["properties"]?["expression"]?["type"]?.string == "string")
        #expect(offer.output.description.contains("calculator"))
    }
}

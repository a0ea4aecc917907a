import Logging
import Synchronization
import Testing

@testable import YuyanServe

@Suite("Log")
struct LogTests {
    @Test("a line is one JSON object, whatever is logged")
    func json() {
        let log = KeptLog()
        log.logger(.json).info(
            "two\nlines", metadata: ["n": .stringConvertible(3), "s": "a\"b\n", "l": ["x", "y"]])
        let line = log.text
        #expect(line.count { $0 == "\n" } == 1)
        #expect(
            line.hasSuffix(
                #""level": "info", "message": "two\nlines", "l": ["x", "y"], "n": 3, "#
                    + #""s": "a\"b\n"}"# + "\n"))
    }

    @Test("values cannot be taken for other lines or fields")
    func text() {
        let log = KeptLog()
        log.logger(.text).warning("m", metadata: ["a": "x\nfake=1", "b": "plain", "c": ""])
        #expect(log.text.hasSuffix(" warning m a=\"x\\nfake=1\" b=plain c=\"\"\n"))
    }

    @Test("lines below the level are not written")
    func level() {
        let log = KeptLog()
        log.logger(.text, .warning).info("no")
        log.logger(.text, .warning).error("yes")
        #expect(log.lines.withLock { $0.count } == 1)
    }

    @Test("times are as RFC 3339 has them")
    func time() {
        let time = Timestamp.now
        #expect(time.wholeMatch(of: /20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\d\.\d{3}Z/) != nil)
    }
}

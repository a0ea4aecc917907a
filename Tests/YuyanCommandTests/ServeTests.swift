import ArgumentParser
import Testing
import YuyanEngine
import YuyanServe

@testable import yuyan

@Suite("serve")
struct ServeTests {
    @Test(
        "sizes are read with every common unit, in powers of 1024",
        arguments: [
            ("512MiB", 512 << 20), ("2GiB", 2 << 30), ("1.5G", 3 << 29), ("4096", 4096),
            ("64k", 64 << 10), ("1TB", 1 << 40), ("10b", 10), ("0.5KiB", 512),
        ])
    func sizes(text: String, bytes: Int) {
        #expect(ByteSize(argument: text)?.bytes == bytes)
    }

    @Test(
        "what is no size is refused",
        arguments: [
            "", "GiB", "-1", "0", "1.5", "2 GiB", "2GiBs", "1e9", "0x10", "inf", "nan", "٣k",
            "9999999999TiB", "1..5G", "1/2G",
        ])
    func noSizes(text: String) {
        #expect(ByteSize(argument: text) == nil)
    }

    @Test("sizes are shown in their largest whole unit")
    func sizeText() {
        let texts = [1 << 30, 3 << 29, 512 << 20, 1000].map { "\(ByteSize(bytes: $0))" }
        #expect(texts == ["1GiB", "1536MiB", "512MiB", "1000"])
    }

    @Test("options become the server's and the engine's configuration")
    func options() throws {
        let parsed = try Yuyan.parseAsRoot([
            "serve", "--model", "m", "--port", "0", "--kv-cache", "1.5GiB", "--api-key", "a",
            "--api-key", "b", "--max-body", "1k", "--drain-timeout", "2.5", "--max-queue", "3",
            "--cors", "https://x",
        ])
        let serve = try #require(parsed as? Serve)
        let server = serve.server.configuration(environmentKey: "c")
        #expect(server.apiKeys == ["a", "b", "c"])
        #expect(server.maxBodyBytes == 1024)
        #expect(server.drainTimeout == .milliseconds(2500))
        #expect(server.corsOrigins == ["https://x"])
        #expect(server.port == 0)
        #expect(serve.server.configuration(environmentKey: "").apiKeys == ["a", "b"])
        #expect(serve.engine.configuration.keyValueBytes == 3 << 29)
        #expect(serve.engine.configuration.maxQueue == 3)
    }

    @Test(
        "options out of range are usage errors that name the option",
        arguments: [
            ["--port", "70000"], ["--idle-timeout", "0"], ["--drain-timeout", "nan"],
            ["--max-connections", "0"], ["--tls-cert", "x"], ["--api-key", ""],
            ["--max-body", "2GiB"], ["--kv-cache", "much"], ["--max-queue", "0"],
            ["--cors", "example.com"], ["--log-level", "loud"],
        ])
    func badOptions(_ words: [String]) {
        #expect {
            _ = try Yuyan.parseAsRoot(["serve", "--model", "m"] + words)
        } throws: { error in
            Yuyan.exitCode(for: error) == .validationFailure
                && Yuyan.message(for: error).contains(words[0])
        }
    }

    @Test("adapters are named, and a mistake says how")
    func adapters() throws {
        let parsed = try Yuyan.parseAsRoot([
            "serve", "--model", "m", "--adapter", "a=x", "--adapter", "b=y=z.gguf",
        ])
        let adapters = try #require(parsed as? Serve).engine.adapter
        #expect(adapters.map(\.name) == ["a", "b"])
        #expect(adapters.map(\.directory) == ["x", "y=z.gguf"])
        for word in ["foo", "=foo", "foo="] {
            #expect {
                _ = try Yuyan.parseAsRoot(["serve", "--model", "m", "--adapter", word])
            } throws: {
                Yuyan.exitCode(for: $0) == .validationFailure
                    && Yuyan.message(for: $0).contains("NAME=PATH, such as --adapter hebei=")
            }
        }
    }

    @Test("a context that is cut says what was asked, what holds and why")
    func contextWarnings() throws {
        func warning(_ words: [String], held: Int) throws -> String? {
            let parsed = try Yuyan.parseAsRoot(["serve", "--model", "m"] + words)
            return try #require(parsed as? Serve).engine.contextWarning(trained: 8192, held: held)
        }
        #expect(try warning([], held: 8192) == nil)
        #expect(try warning(["--context", "100"], held: 100) == nil)
        #expect(
            try warning(["--context", "100000"], held: 8192)
                == "--context is 100000, but requests may have 8192 tokens: the model was made for "
                + "no more")
        #expect(
            try warning(["--kv-cache", "1MiB"], held: 32)
                == "the model's context is 8192, but requests may have 32 tokens: the cache, "
                + "--kv-cache 1MiB, holds no more")
    }

    @Test("the line to try shows how a key is sent, never the key")
    func example() throws {
        func header(_ words: [String], _ environment: String?) throws -> String {
            let parsed = try Yuyan.parseAsRoot(["serve", "--model", "m"] + words)
            return try #require(parsed as? Serve).server.keyHeader(environmentKey: environment)
        }
        #expect(try header([], nil) == "" && header([], "") == "")
        #expect(try header([], "secret") == " -H \"authorization: Bearer $YUYAN_API_KEY\"")
        #expect(try header(["--api-key", "secret"], nil) == " -H 'authorization: Bearer KEY'")
        #expect(
            Serve.example(at: "http://h:1", model: "m", key: " -H x").hasPrefix(
                "curl http://h:1/v1/chat/completions -H 'content-type: application/json' -H x -d"))
        #expect(
            Serve.example(at: "http://h:1", model: "m", key: "", scores: true).hasPrefix(
                "curl http://h:1/v1/score -H 'content-type: application/json' -d"))
    }

    @Test("a model is served under its short name")
    func names() {
        #expect(Serve.name(of: "smollm2-135m") == "smollm2-135m")
        #expect(Serve.name(of: "a/b/Model.Q4_1.gguf") == "Model.Q4_1")
        #expect(Serve.name(of: "a/model/") == "model")
    }

    @Test("addresses can be pasted into a browser")
    func addresses() {
        var configuration = ServerConfiguration()
        #expect(configuration.address(port: 80) == "http://127.0.0.1:80")
        configuration.host = "::"
        configuration.tlsCertificate = "x"
        #expect(configuration.address(port: 1) == "https://127.0.0.1:1")
        configuration.host = "::1"
        #expect(configuration.address(port: 1) == "https://[::1]:1")
    }
}

import ArgumentParser
import TestSupport
import Testing
import YuyanEngine
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

@testable import yuyan

@Suite("Measuring commands")
struct MeasureTests {
    private let device = Device(threads: 1)

    private func decoder() throws -> Decoder {
        try Decoder(Checkpoint(path: Goldens.path("models/llama-gqa")), on: device)
    }

    private func parsed(_ output: JSONOutput) throws -> JSONCursor {
        try JSONDocument(bytes: Array(output.description.utf8), name: "output").root
    }

    @Test(
        "wrong arguments are usage errors",
        arguments: [
            ["perplexity", "--model", "m"],
            ["perplexity", "--model", "m", "--file", "f", "--context", "2"],
            ["perplexity", "--model", "m", "--file", "f", "--windows", "0"],
            ["perplexity", "--model", "m", "--file", "f", "--kl-base-kv", "f32"],
            ["bench"],
            ["bench", "--model", "m", "--repeat", "0"],
            ["bench", "--model", "m", "--generate-tokens", "0"],
            ["bench", "--model", "m", "--kv", "f64"],
            ["bench", "--model", "m", "--batch", "0"],
            ["doctor", "--threads", "0"],
        ])
    func usage(_ arguments: [String]) throws {
        let error = #expect(throws: (any Error).self) { try Yuyan.parseAsRoot(arguments) }
        #expect(Yuyan.exitCode(for: try #require(error)) == .validationFailure)
    }

    @Test("bench prints the keys that scripts rely on, and shares of the peak")
    func benchKeys() throws {
        let decoder = try decoder()
        let peak = device.measuredPeak(bufferBytes: 4 << 20, repeats: 1)
        let report = BenchReport(
            prefill: Spread([100, 300, 200]), decode: Spread([10, 30]),
            cost: BenchReport.Cost(decoder, promptTokens: 4, generateTokens: 7, kv: .f16),
            tokenizing: nil, peak: peak, residentBytes: 12345, settings: ["threads": 1])
        let root = try parsed(report.json)
        let prefill = try root.object("prefill_tok_s")
        #expect(
            try [prefill.double("min"), prefill.double("median"), prefill.double("max")]
                == [100, 200, 300])
        let decode = try root.object("decode_tok_s")
        #expect(
            try [decode.double("min"), decode.double("median"), decode.double("max")]
                == [10, 20, 30])
        #expect(try root.object("peak").double("gflops") == peak.gigaflops)
        #expect(try root.object("peak").double("gbs") == peak.readGigabytes)
        #expect(try root.int("peak_rss_bytes") == 12345)
        // 13,824 multiply-adds in the layers, 3,072 in the head, which a prompt of 4 needs once.
        let share = try root.object("fraction_of_peak")
        let expected = 2 * (13_824 + 3_072.0 / 4) * 200 / (peak.gigaflops * 1e9)
        expectClose([try share.double("prefill")], [expected], Tolerance(relative: 1e-12))
        // A token's keys and values: 2 layers, 2 heads of 8, 2 bytes; 4 tokens on average.
        let bytes = Double(decoder.bytesReadPerToken) + 4 * 2 * 2 * 2 * 8 * 2
        expectClose(
            [try share.double("decode")], [bytes * 20 / (peak.readGigabytes * 1e9)],
            Tolerance(relative: 1e-12))
    }

    @Test("perplexity prints the keys that scripts rely on; kl is null unless asked for")
    func perplexityKeys() throws {
        let windows = try EvaluationWindows(tokens: (0..<30).map { Int32($0) }, context: 10)
        let model = EvaluatedModel(model: try decoder(), device: device)
        var report = PerplexityReport(
            textTokens: 30, windows: windows, precision: .int16, kv: .f16)
        let result = try perplexity(of: windows, model: model.model, device: device)
        report.perplexity = result
        report.time = .milliseconds(1500)
        let root = try parsed(report.json)
        #expect(try root.double("perplexity") == result.value)
        #expect(try root.int("tokens") == 12)
        #expect(try root.double("seconds") == 1.5)
        #expect(try root.int("evaluated_tokens") == 30)
        #expect(root["kl"]?.isNull == true)
        report.divergence = ("f32", .f16, try divergence(of: model, from: model, on: windows))
        let kl = try parsed(report.json).object("kl")
        #expect(try kl.string("base") == "f32")
        for key in ["mean", "median", "p99", "max", "ln_ppl_ratio", "rms_delta_p"] {
            #expect(try kl.double(key) == 0)
        }
        #expect(try kl.double("same_top") == 1)
        // The loss alone sums in float32, the divergence in float64.
        expectClose(
            [try kl.double("base_perplexity")], [result.value], Tolerance(relative: 1e-6))
    }

    @Test("doctor warns of more threads than processors and of slow kernels")
    func warnings() throws {
        let machine = Machine()
        let crowd = Device(threads: machine.processors + 3, instructionSet: .scalar)
        let rates = try DoctorReport.Rates(
            Device(threads: 1, instructionSet: .best), bufferBytes: 4 << 20, repeats: 1)
        let report = DoctorReport(
            machine: machine, device: crowd, one: rates, all: nil, dispatch: 1e-6)
        #expect(report.warnings.contains { $0.contains("usable processors") })
        #expect(report.warnings.contains { $0.contains("scalar kernels") })
        let root = try parsed(report.json)
        #expect(try root.int("threads") == machine.processors + 3)
        for key in ["f32", "int16", "input_gradient", "weight_gradient"] {
            #expect(try root.object("gemm").object("one_thread").double(key + "_gflops") > 0)
        }
        #expect(try root.array("warnings").count == report.warnings.count)
    }
}

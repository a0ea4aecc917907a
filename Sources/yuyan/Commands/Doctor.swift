import ArgumentParser
import YuyanFormats
import YuyanTensor

struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Describe this machine, measure what it can do, and say what slows it down.",
        discussion: """
            Example: yuyan doctor --json

            --json prints {cpu, features, processors, usable_processors, load, instruction_sets, \
            instruction_set, kernels: {operation: kernel}, threads, memory_bytes, \
            memory_available_bytes, huge_pages, peak: {one_thread, all_threads: {threads, gflops, \
            gbs, triad_gbs}}, gemm: {one_thread, all_threads: {f32_gflops, int16_gflops}}, \
            dispatch_us, warnings: [text]}. gemm is a product of 512 tokens with a 1536 × 1536 \
            weight, f32 or Q8_0 with 16-bit activations.
            """)

    @Flag(help: "Print one JSON object.")
    var json = false
    @OptionGroup var compute: ComputeOptions

    func run() throws {
        let device = compute.device()
        let rounding = compute.device(precision: .int16)
        let single = Device(
            threads: 1, instructionSet: device.instructionSet, precision: .int16)
        let report = DoctorReport(
            machine: Machine(), device: device,
            one: try DoctorReport.Rates(single),
            all: rounding.pool.threadCount > 1 ? try DoctorReport.Rates(rounding) : nil,
            dispatch: rounding.measuredDispatch())
        Terminal.write((json ? report.json.description : report.text) + "\n")
    }
}

import Testing
import YuyanFormats

@testable import YuyanTensor

@Suite("MachinePeak")
struct MachinePeakTests {
    @Test("every instruction set yields rates that a machine can have", arguments: [1, 2])
    func plausible(_ threads: Int) {
        for set in InstructionSet.available {
            let device = Device(threads: threads, instructionSet: set)
            let peak = device.measuredPeak(bufferBytes: 12 << 20, repeats: 1)
            #expect(peak.threads == threads)
            for rate in [peak.gigaflops, peak.readGigabytes, peak.triadGigabytes] {
                #expect(rate > 1e-3 && rate < 1e5, "\(set) on \(threads): \(peak)")
            }
        }
    }

    @Test("sharing out an empty loop takes time, but less than a hundredth of a second")
    func dispatch() {
        let seconds = Device(threads: 2).measuredDispatch(loops: 500)
        #expect(seconds > 0 && seconds < 1e-2)
    }

    @Test("every format with kernels has a product rate; others are refused")
    func products() throws {
        let device = Device(threads: 1)
        for type in ElementType.allCases {
            if type.panelFormat == nil {
                #expect(throws: WeightError.self) {
                    try device.measuredProduct(type, tokens: 1, width: 256, repeats: 1)
                }
            } else {
                let rate = try device.measuredProduct(type, tokens: 2, width: 256, repeats: 1)
                #expect(rate > 1e-4 && rate < 1e5, "\(type): \(rate)")
            }
        }
    }

    @Test("the products of the way back have a rate")
    func gradients() throws {
        let rates = try Device(threads: 2).measuredGradients(tokens: 3, width: 40, repeats: 1)
        #expect(rates.input > 1e-4 && rates.input < 1e5, "\(rates.input)")
        #expect(rates.weight > 1e-4 && rates.weight < 1e5, "\(rates.weight)")
    }

    @Test("the list of kernels names the device's own, and its precision")
    func choices() {
        let device = Device(threads: 1, instructionSet: .scalar, precision: .f32)
        #expect(device.kernelChoices.allSatisfy { $0.kernel.hasPrefix(device.kernelName) })
        #expect(!device.kernelChoices.contains { $0.kernel.contains("int16") })
        let rounding = Device(threads: 1, instructionSet: .scalar)
        #expect(rounding.kernelChoices.contains { $0.kernel.contains("int16") })
    }
}

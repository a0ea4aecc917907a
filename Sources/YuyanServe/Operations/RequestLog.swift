import Logging

extension ServerCore {
    /// One line for each answer; what monitors ask for every few seconds is only for debugging.
    func logRequest(
        requestID: String, method: String, template: String, status: Int, duration: Duration,
        address: String
    ) {
        let answer = ServerMetrics.Answer(template: template, method: method, status: status)
        let record = metrics.answered(answer, requestID: requestID)
        let isRoutine = ["/health", "/v1/health", "/metrics", "/engine"].contains(template)
        let level: Logger.Level =
            switch status {
            case 500...: template.hasSuffix("/health") ? .debug : .warning
            default: isRoutine ? .debug : .info
            }
        guard logger.logLevel <= level else { return }
        var fields: Logger.Metadata = [
            "request_id": .string(requestID), "method": .string(method),
            "route": .string(template), "status": .stringConvertible(status),
            "seconds": .stringConvertible(duration / .seconds(1)), "address": .string(address),
        ]
        if status == 499 { fields["disconnected"] = .stringConvertible(true) }
        if let record {
            fields["model"] = .string(record.model)
            fields["stream"] = .stringConvertible(record.isStream)
            fields["prompt_tokens"] = .stringConvertible(record.promptTokens)
            fields["cached_tokens"] = .stringConvertible(record.cachedTokens)
            fields["generated_tokens"] = .stringConvertible(record.generatedTokens)
            fields["finish_reasons"] = .array(record.finishReasons.map { .string($0) })
            if let first = record.timeToFirstToken {
                fields["first_token_seconds"] = .stringConvertible(first / .seconds(1))
            }
            if status == 504 {
                fields["error"] = "no complete answer in the time of --request-timeout"
            } else if let error = record.error {
                fields["error"] = .string(error)
            }
            if !record.ignoredFields.isEmpty {
                fields["ignored_fields"] = .array(record.ignoredFields.map { .string($0) })
            }
        }
        logger.log(level: level, "request", metadata: fields)
    }

    /// Logs what a request or an answer says, if the configuration asks for it.
    func logText(_ what: Logger.Message, _ bytes: [UInt8], requestID: String) {
        guard configuration.logPrompts else { return }
        logger.info(
            what,
            metadata: [
                "request_id": .string(requestID),
                "text": .string(String(decoding: bytes, as: UTF8.self)),
            ])
    }
}

"""TensorBoard's own bytes for Sources/YuyanTrain/Reports/EventFile.swift.

Run from the root of the repository, with tensorboard installed: python Tools/goldens/events.py
Writes Tests/Goldens/formats/events.tfevents with tensorboard's messages and record writer, and reads it
back with its event accumulator, to see that a restart hides the steps after it.
"""
import io
import tempfile
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

OUT = Path(__file__).resolve().parents[2] / "Tests/Goldens/formats/events.tfevents"


def scalars(step, time, **values):
    summary = Summary(value=[Summary.Value(tag=k.replace("__", "/"), simple_value=v)
                             for k, v in values.items()])
    return Event(wall_time=time, step=step, summary=summary)


events = [
    Event(wall_time=1700000000.25, file_version="brain.Event:2"),
    scalars(1, 1700000001.5, train__loss=2.5, train__learning_rate=2e-4),
    scalars(300, 1700000002.5, train__loss=1.25),
    Event(wall_time=1700000003.0, step=201, session_log=SessionLog(status=SessionLog.START)),
    scalars(1 << 40, 1700000004.0, eval__loss=float("nan"), train__grad_norm=-0.0),
]
stream = io.BytesIO()
stream.close_ = stream.close
stream.close = lambda: None
writer = RecordWriter(stream)
for event in events:
    writer.write(event.SerializeToString())
writer.flush()
OUT.write_bytes(stream.getvalue())

with tempfile.TemporaryDirectory() as folder:
    (Path(folder) / "events.out.tfevents.1.h.1.0").write_bytes(stream.getvalue())
    read = EventAccumulator(folder)
    read.Reload()
    assert [e.step for e in read.Scalars("train/loss")] == [1], read.Scalars("train/loss")
    assert read.Scalars("eval/loss")[0].step == 1 << 40
print(len(stream.getvalue()), "bytes")

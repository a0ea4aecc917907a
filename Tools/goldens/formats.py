"""Makes Tests/Goldens/formats with the reference implementations: gguf, safetensors and json.

Needs: pip install gguf safetensors numpy torch. The files do not depend on the versions, as long
as the formats stay what they are.
"""

import json
import random
import struct
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

FOLDER = Path(__file__).resolve().parents[2] / "Tests" / "Goldens" / "formats"


def make_gguf() -> None:
    path = FOLDER / "tiny-gguf.bin"
    rng = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_add_bos_token(False)
    writer.add_token_list([b"a", b"\xff\xc4", "Ġthe".encode(), b""])
    writer.add_token_scores([0.0, -1.5, 2.25, 1e-8])
    writer.add_token_types([1, 6, 1, 3])
    writer.add_array("test.words", ["eins", "zwei", "雨燕"])
    writer.add_int64("test.negative", -(2**40))
    writer.add_float64("test.tenth", 0.1)
    weights = rng.standard_normal((4, 256)).astype(np.float32)
    writer.add_tensor("f32", weights[:, :6].copy())
    writer.add_tensor("f16", weights[:, :5].astype(np.float16))
    writer.add_tensor("cube", rng.standard_normal((2, 3, 4)).astype(np.float32))
    writer.add_tensor("int32", np.arange(-3, 4, dtype=np.int32))
    for kind in ("BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ1_0", "TQ2_0"):
        code = gguf.GGMLQuantizationType[kind]
        writer.add_tensor(kind.lower(), gguf.quants.quantize(weights, code), raw_dtype=code)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    tensors = []
    for tensor in gguf.GGUFReader(path).tensors:
        tensors.append(
            {
                "name": tensor.name,
                "type": tensor.tensor_type.name,
                "shape": [int(size) for size in reversed(tensor.shape)],
                "offset": int(tensor.data_offset),
                "bytes": int(tensor.n_bytes),
            }
        )
    # The package still has the old layout of Q8_1, with float32 scales; ggml has float16 ones. The
    # type only exists in memory, for activations.
    sizes = [
        {"code": int(code), "name": code.name, "elements": elements, "bytes": size}
        for code, (elements, size) in gguf.GGML_QUANT_SIZES.items()
        if code.name != "Q8_1"
    ]
    (FOLDER / "tiny-gguf.json").write_text(
        json.dumps({"tensors": tensors, "types": sizes}, indent=1) + "\n"
    )


def make_safetensors() -> None:
    kinds = {
        "F64": torch.float64, "F32": torch.float32, "F16": torch.float16,
        "BF16": torch.bfloat16, "I64": torch.int64, "I32": torch.int32, "I16": torch.int16,
        "I8": torch.int8, "U8": torch.uint8, "U16": torch.uint16, "U32": torch.uint32,
        "BOOL": torch.bool, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    }
    tensors = {}
    for name, kind in kinds.items():
        values = torch.arange(6, dtype=torch.float32).reshape(2, 3)
        signed = kind.is_floating_point or name.startswith("I")
        tensors[name] = ((values - 2) if signed else values).to(kind)
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.zeros(3, 0)
    save_file(tensors, FOLDER / "kinds.safetensors", metadata={"名": "雨燕\n"})


def make_numbers() -> None:
    random.seed(2)
    texts = [
        "0", "-0", "-0.0", "0.1", "1e22", "1e23", "9007199254740993", "123456789012345678",
        "2.2250738585072011e-308", "2.2250738585072014e-308", "5e-324", "4.9e-324", "2e-324",
        "1.7976931348623157e308", "1e-400", "0e999", "9223372036854775807", "9223372036854775808",
        "-9223372036854775808", "0.000000000000000000000000000001", "1E+2", "1e-2", "1.0e0000000001",
        "179769313486231570814e288", "100000000000000000000000", "6.02214076e23",
    ]
    for _ in range(400):
        texts.append(repr(struct.unpack("<d", random.randbytes(8))[0]))
        texts.append(f"{random.uniform(-20, 20):.{random.randrange(1, 18)}f}")
        texts.append(f"{random.randrange(10**random.randrange(1, 22))}e{random.randrange(-40, 40)}")
    texts = [text for text in texts if "n" not in text]
    for text in texts:
        json.loads(text)
    lines = [f'["{text}", "{struct.pack(">d", float(text)).hex()}"]' for text in texts]
    (FOLDER / "numbers.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    make_gguf()
    make_safetensors()
    make_numbers()


if __name__ == "__main__":
    main()

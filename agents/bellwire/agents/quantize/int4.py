"""4-bit weights: each product with constant weights becomes ONNX Runtime's MatMulNBits.

onnxruntime's own quantizer for this needs one package more (onnx_ir) than the extra `models` brings; the operator and
its layout are documented, and to write them takes a page.
"""

from typing import TYPE_CHECKING, Final

import numpy as np

from bellwire.agents.quantize.graph import onnx_package, parsed, serialized
from bellwire.agents.quantize.nibbles import BITS, Nibbles, pack

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

DOMAIN: Final = "com.microsoft"
OPERATOR: Final = "MatMulNBits"
BLOCK: Final = 32  # halving it adds 15 % of bytes and a percent of agreement
ACCURACY_LEVEL: Final = 4  # inputs in 8 bits within the product: quickest at batch 1


class NothingToQuantizeError(Exception):
    """No product with constant weights is in the graph; the text says what was found."""


def int4_weights(content: bytes) -> bytes:
    """Return the model with 4-bit weights.

    Raises:
        NothingToQuantizeError: It has no MatMul with constant weights.
        EngineMissingError: onnx is not installed.
    """
    model = parsed(content)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    chosen = [node for node in model.graph.node if _has_constant_weights(node, constants)]
    if not chosen:
        kinds = ", ".join(sorted({node.op_type for node in model.graph.node}))
        raise NothingToQuantizeError(f"no MatMul with constant weights among {kinds}")
    for node in chosen:
        weights = node.input[1]
        packed = pack(onnx_package().numpy_helper.to_array(constants[weights]), BLOCK)
        _replace(model, node, packed)
    _drop_unused(model, constants)
    model.opset_import.append(onnx_package().helper.make_opsetid(DOMAIN, 1))
    return serialized(model)


def _has_constant_weights(node: "NodeProto", constants: "dict[str, TensorProto]") -> bool:
    if node.op_type != "MatMul" or node.domain not in ("", "ai.onnx"):
        return False
    weights = constants.get(node.input[1])
    is_float = weights is not None and weights.data_type == onnx_package().TensorProto.FLOAT
    return is_float and weights is not None and len(weights.dims) == 2


def _replace(model: "ModelProto", node: "NodeProto", weights: Nibbles) -> None:
    """Put the operator in the node's place, and its two constants into the graph."""
    from_array = onnx_package().numpy_helper.from_array
    source, name = node.input[0], f"{node.output[0]}.nibbles"
    model.graph.initializer.extend(
        [
            from_array(weights.packed, name),
            from_array(weights.scales.reshape(-1).astype(np.float32), f"{name}.scales"),
        ]
    )
    attributes = {
        "K": weights.inputs,
        "N": len(weights.scales),
        "bits": BITS,
        "block_size": BLOCK,
        "accuracy_level": ACCURACY_LEVEL,
    }
    made = onnx_package().helper.make_node(
        OPERATOR,
        [source, name, f"{name}.scales"],
        list(node.output),
        name=node.name,
        domain=DOMAIN,
        **attributes,
    )
    node.CopyFrom(made)


def _drop_unused(model: "ModelProto", constants: "dict[str, TensorProto]") -> None:
    """Take out the float weights that no node asks for any more."""
    asked = {name for node in model.graph.node for name in node.input}
    for name, tensor in constants.items():
        if name not in asked:
            model.graph.initializer.remove(tensor)

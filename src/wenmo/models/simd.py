"""What numba's loops cannot say: a whole cache line compared at once, products by vectors, and memory fetched ahead.

These are functions of compiled code only. numba turns loops into vectors where their length is long and known; the
loops of an n-gram model are short, so they stayed one number after the other. LLVM makes of these vectors whatever
the processor has (AVX-512, AVX2, SSE, NEON).
"""

# numba has no types, nor has the builder of its code.
# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LINE = 16
"""Numbers of 32 bits in a cache line of 64 bytes."""
WIDTH = 8
"""Products are made by so many: arrays for them have a multiple of it."""
CHECK_SHIFT = 22
"""Bits of a slot below its check bits."""

_INT, _BYTES = ir.IntType(32), ir.IntType(8).as_pointer()
_FLOATS = ir.VectorType(ir.FloatType(), WIDTH)
_FAST = ("contract", "reassoc", "nsz")


def _address(context: Any, builder: Any, kind: Any, array: Any, place: Any) -> Any:
    """Pointer to an element, counted over the whole of an array in C order."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [place])


def _spread(builder: Any, value: Any, count: int) -> Any:
    """A vector of `count` times the same number."""
    empty = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(_INT, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(_INT, count), [0] * count))


def _floats(builder: Any, address: Any) -> Any:
    """The pointer to WIDTH float32 that begin at an address."""
    return builder.bitcast(address, _FLOATS.as_pointer())


@intrinsic
def line_masks(typing: Any, slots: Any, base: Any, check: Any) -> Any:
    """Which slots of a cache line carry the check bits (bits 0 to 15), and which are empty (bits 16 to 31).

    Args:
        typing: numba's.
        slots: uint32 (N,).
        base: First slot of the line.
        check: The upper 32 - CHECK_SHIFT bits wanted.

    Returns:
        int64. A slot of 0 is empty, whatever the check.
    """

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _address(context, builder, signature.args[0], args[0], args[1])
        line = builder.load(builder.bitcast(address, ir.VectorType(_INT, LINE).as_pointer()), align=4)
        shift = ir.Constant(line.type, [CHECK_SHIFT] * LINE)
        same = builder.icmp_unsigned("==", builder.lshr(line, shift), _spread(builder, args[2], LINE))
        empty = builder.icmp_unsigned("==", line, ir.Constant(line.type, [0] * LINE))
        bits = [
            builder.zext(builder.bitcast(mask, ir.IntType(LINE)), ir.IntType(64)) for mask in (same, empty)
        ]
        high = builder.shl(bits[1], ir.Constant(ir.IntType(64), LINE))
        return builder.or_(builder.and_(bits[0], builder.not_(bits[1])), high)

    return types.int64(slots, types.int64, types.uint32), build


@intrinsic
def lowest_bit(typing: Any, value: Any) -> Any:
    """Place of the lowest bit that is 1 in an int64 that is not 0."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), build


@intrinsic
def prefetch(typing: Any, array: Any, place: Any) -> Any:
    """Begins to bring the cache line of an element near, and does not wait for it; a place outside is no error."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = builder.bitcast(_address(context, builder, signature.args[0], *args), _BYTES)
        kind = ir.FunctionType(ir.VoidType(), [_BYTES, _INT, _INT, _INT])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [address, *(ir.Constant(_INT, number) for number in (0, 3, 1))])
        return context.get_dummy_value()

    return types.none(array, types.int64), build


@intrinsic
def dot(typing: Any, weights: Any, row: Any, inputs: Any) -> Any:
    """Product of a row of a matrix and a vector, added up in the order that is fastest.

    Args:
        typing: numba's.
        weights: float32 (R, N) in C order.
        row: The row.
        inputs: float32 (N,); N is a multiple of WIDTH.

    Returns:
        float32.
    """

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        length = builder.extract_value(
            context.make_array(signature.args[2])(context, builder, args[2]).shape, 0
        )
        start = _address(context, builder, signature.args[0], args[0], builder.mul(args[1], length))
        values = _address(context, builder, signature.args[2], args[2], ir.Constant(length.type, 0))
        total = cgutils.alloca_once_value(builder, ir.Constant(_FLOATS, [0.0] * WIDTH))
        step = ir.Constant(length.type, WIDTH)
        with cgutils.for_range_slice(builder, ir.Constant(length.type, 0), length, step, inc=True) as (at, _):
            pair = [builder.load(_floats(builder, builder.gep(p, [at])), align=4) for p in (start, values)]
            product = builder.fmul(*pair, flags=_FAST)
            builder.store(builder.fadd(builder.load(total), product, flags=_FAST), total)
        vector = builder.load(total)
        half = WIDTH
        while half > 1:
            half //= 2
            order = [(i + half) % WIDTH for i in range(WIDTH)]
            other = builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(_INT, WIDTH), order))
            vector = builder.fadd(vector, other, flags=_FAST)
        return builder.extract_element(vector, ir.Constant(_INT, 0))

    return types.float32(weights, types.int64, inputs), build


@intrinsic
def add_scaled(typing: Any, weights: Any, row: Any, factor: Any, inputs: Any) -> Any:
    """Adds a vector times a number to a row of a matrix; shapes as for `dot`."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        length = builder.extract_value(
            context.make_array(signature.args[3])(context, builder, args[3]).shape, 0
        )
        start = _address(context, builder, signature.args[0], args[0], builder.mul(args[1], length))
        values = _address(context, builder, signature.args[3], args[3], ir.Constant(length.type, 0))
        scale = _spread(builder, args[2], WIDTH)
        step = ir.Constant(length.type, WIDTH)
        with cgutils.for_range_slice(builder, ir.Constant(length.type, 0), length, step, inc=True) as (at, _):
            into = _floats(builder, builder.gep(start, [at]))
            value = builder.load(_floats(builder, builder.gep(values, [at])), align=4)
            change = builder.fmul(scale, value, flags=_FAST)
            builder.store(builder.fadd(builder.load(into, align=4), change, flags=_FAST), into, align=4)
        return context.get_dummy_value()

    return types.none(weights, types.int64, types.float32, inputs), build

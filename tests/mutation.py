"""Mutants: small wrong versions of a module, made from its syntax tree or by exact replacement, and run in this process.

A test suite that a flipped sign survives proves nothing. `syntax_mutants` makes every small error of the kinds listed at
`mutations`; `replaced` makes one by hand. A mutant is killed when a check raises."""

import ast
import contextlib
import copy
import gc
import inspect
import signal
import types

ARITHMETIC = {ast.Add: [ast.Sub], ast.Sub: [ast.Add], ast.Mult: [ast.Div], ast.Div: [ast.Mult]}
COMPARISONS = {
    ast.Lt: [ast.LtE, ast.Gt],
    ast.LtE: [ast.Lt, ast.GtE],
    ast.Gt: [ast.GtE, ast.Lt],
    ast.GtE: [ast.Gt, ast.LtE],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
}
NAMES = {"sum": "mean", "mean": "sum", "max": "min", "min": "max", "maximum": "minimum", "log1p": "log", "log": "log1p", "exp": "expm1"}


def changed(node, **fields):
    """A copy of the node with other fields."""
    node = copy.copy(node)
    for name, value in fields.items():
        setattr(node, name, value)
    return node


def mutations(node):
    """The wrong versions of one node of the syntax tree."""
    match node:
        case ast.BinOp(
            left=left, op=op, right=right
        ):  # a flipped sign, a factor upside down, transposed operands, a forgotten term or factor
            yield from (changed(node, op=other()) for other in ARITHMETIC.get(type(op), []))
            if isinstance(op, ast.MatMult):
                yield changed(node, left=right, right=left)
            yield from (left, right)
        case ast.AugAssign(target=target, op=op, value=value):
            yield from (changed(node, op=other()) for other in ARITHMETIC.get(type(op), []))
            yield ast.Assign(targets=[target], value=value)
            yield ast.Pass()
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Compare(ops=ops):
            for i, op in enumerate(ops):
                yield from (changed(node, ops=[*ops[:i], other(), *ops[i + 1 :]]) for other in COMPARISONS[type(op)])
        case ast.BoolOp(op=op, values=values):
            yield changed(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
            yield from values
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Call(func=function, args=arguments, keywords=keywords):  # a wrong reduction, a forgotten axis=, keepdims=, where=, out=
            yield from (changed(node, keywords=[k for k in keywords if k is not keyword]) for keyword in keywords)
            if isinstance(function, ast.Attribute) and function.attr in NAMES:
                yield changed(node, func=changed(function, attr=NAMES[function.attr]))
            if isinstance(function, ast.Name) and function.id in ("reversed", "sorted", "list", "dict"):
                yield arguments[0]
            if isinstance(function, ast.Attribute) and function.attr in ("abs", "astype"):
                yield arguments[0] if function.attr == "abs" else function.value
        case ast.Attribute(value=value, attr="T"):
            yield value
        case ast.If() | ast.IfExp():
            yield from (changed(node, test=ast.Constant(constant)) for constant in (True, False))
        case ast.Return(value=ast.Tuple(elts=elements) as value):
            yield changed(node, value=changed(value, elts=elements[::-1]))
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()


class Replace(ast.NodeTransformer):
    def __init__(self, old, new):
        self.old, self.new = old, new

    def visit(self, node):
        return self.new if node is self.old else self.generic_visit(node)


def functions(tree):
    """[(name, node, owner)] of the functions of a module and the methods of its classes; the functions inside belong to them."""
    found = [(node.name, node, None) for node in tree.body if isinstance(node, ast.FunctionDef)]
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return found + [(f"{c.name}.{node.name}", node, c) for c in classes for node in c.body if isinstance(node, ast.FunctionDef)]


def exchanged(body, old, new):
    return [new if node is old else node for node in body]


def syntax_mutants(source):
    """[(function, "old -> new", mutated syntax tree)] of every function; messages of errors and docstrings stay as they are."""
    tree = ast.parse(source)
    found, seen = [], {}
    for name, function, owner in functions(tree):
        spared = {id(inner) for node in ast.walk(function) if isinstance(node, ast.Raise | ast.JoinedStr) for inner in ast.walk(node)}
        for index, node in enumerate(ast.walk(function)):
            if id(node) in spared:
                continue
            for kind, _ in enumerate(mutations(node)):
                mutant = copy.deepcopy(function)  # the rest of the module is shared between the mutants
                target = list(ast.walk(mutant))[index]
                replacement = ast.fix_missing_locations(list(mutations(target))[kind])
                what = (
                    " -> ".join(ast.unparse(part) for part in (node, replacement))
                    if not isinstance(node, ast.If)
                    else f"if {ast.unparse(node.test)} -> if {replacement.test.value}"
                )
                seen[name, what] = number = seen.get((name, what), 0) + 1  # the same text may stand there again
                mutant = ast.fix_missing_locations(Replace(target, replacement).visit(mutant))
                if owner:
                    mutant = changed(owner, body=exchanged(owner.body, function, mutant))
                mutant = changed(tree, body=exchanged(tree.body, owner or function, mutant))
                found.append((name, what if number == 1 else f"{what} (number {number})", mutant))
    return found


def replaced(module, old, new):
    """The source of `module` with `old` replaced; the text must be there exactly once, so that no mutant silently vanishes."""
    source = inspect.getsource(module)
    count = source.count(old)
    if count != 1:
        raise ValueError(f"{old!r} stands {count} times in {module.__name__}: a mutant needs a text that is there once")
    return source.replace(old, new)


def build(name, source):
    """A module `name` from source or a syntax tree, without touching the real one."""
    module = types.ModuleType(name)
    module.__file__ = f"<mutant of {name}>"
    exec(compile(source, module.__file__, "exec"), module.__dict__)
    return module


@contextlib.contextmanager
def within(seconds):
    """Raise TimeoutError after so many seconds of processor time; there is no limit where the system has no such clock."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    ended = False

    def stop(*_):
        if not ended:
            raise TimeoutError(f"longer than {seconds} s")

    before = signal.signal(signal.SIGVTALRM, stop)
    # Python swallows what is raised while it collects garbage, so it collects none, and the signal comes again and again
    gc.disable()
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, 0.2)
    try:
        yield
    finally:
        ended = True
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        gc.enable()


def survives(check, seconds=60.0):
    """Whether a check passes on a mutant, within so many seconds of processor time. Any exception kills."""
    try:
        with within(seconds):
            check()
    except Exception:
        return False
    return True

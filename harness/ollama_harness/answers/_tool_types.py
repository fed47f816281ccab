from ollama_harness.answers.go_json import ANY, STRING, GoType, Struct, fields


def tool_type(version: str) -> GoType:
    return Struct(name="api.Tool", fields=fields(type=STRING, function=ANY))


def parameters_type(version: str) -> GoType:
    return Struct(name="api.ToolFunctionParameters", fields=fields(type=STRING))

# SPDX-License-Identifier: MIT
"""Conversations, and what else a chat template is given, that reach its branches."""


def say(role, content, **more):
    return {"role": role, "content": content, **more}


WEATHER = {"type": "function", "function": {
    "name": "weather", "description": "The weather of a <place> & time: it's \"now\"",
    "parameters": {"type": "object", "required": ["place"], "properties": {
        "place": {"type": "string", "description": "Zürich, 北京, …"},
        "days": {"type": "integer", "default": 1, "enum": [1, 3, 7]},
        "unit": {"type": ["string", "null"], "default": None},
        "precise": {"type": "boolean", "default": False}, "scale": {"type": "number", "default": 1e-7}}}}}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "Tells the time.",
                                          "parameters": {"type": "object", "properties": {}}}}


def call(name, arguments, number):
    return {"id": "call0000%d" % number, "type": "function", "function": {"name": name, "arguments": arguments}}


USER = say("user", "What is 1 + 1?")
ANSWER = say("assistant", "It is 2.")
SYSTEM = say("system", "You are brief.")
ODD = say("user", "  spaces \n\n around,\ttabs; quotes ' \" and {{ braces }} {% if %}, <|user|> é 北京 🙂 \u200b ")
THOUGHT = say("assistant", "<think>\nLet me see.\n</think>\n\nTwo.")

MESSAGES = {
    "one": [USER],
    "system": [SYSTEM, USER],
    "turns": [SYSTEM, USER, ANSWER, ODD, say("assistant", "So?  "), USER],
    "ends with answer": [USER, ANSWER],
    "no system": [ODD, ANSWER, USER],
    "two systems": [SYSTEM, say("system", "Be kind too."), USER, ANSWER, SYSTEM, USER],
    "thoughts": [USER, THOUGHT, USER, THOUGHT],
    "reasoning": [USER, say("assistant", "Two.", reasoning_content="1 and 1"), USER,
                  say("assistant", "Four.", reasoning_content="2 and 2\n")],
    "empty texts": [say("system", ""), say("user", ""), say("assistant", ""), say("user", " ")],
    "empty": [],
    "not alternating": [USER, USER, ANSWER, ANSWER, USER],
    "begins with answer": [ANSWER, USER],
    "unknown role": [USER, say("poet", "Roses"), USER],
    "parts": [say("user", [{"type": "text", "text": "Look: "}, {"type": "text", "text": "that"}]), ANSWER, USER],
    "image": [say("user", [{"type": "image"}, {"type": "text", "text": "What is it?"}])],
    "no content": [USER, {"role": "assistant"}, USER],
    "null content": [USER, say("assistant", None), USER],
    "developer": [say("developer", "Be terse."), USER],
}


def tool_messages(as_text):
    """Calls and their results; arguments as JSON text, or as an object."""
    arguments = '{"place": "Zürich", "days": 3}' if as_text else {"place": "Zürich", "days": 3, "unit": None}
    empty = "{}" if as_text else {}
    first = say("assistant", None, tool_calls=[call("weather", arguments, 1)])
    both = say("assistant", "Both.", tool_calls=[call("weather", arguments, 2), call("clock", empty, 3)])
    blank = say("assistant", "", tool_calls=[call("clock", empty, 4)])
    result = say("tool", '{"sky": "clear"}', name="weather", tool_call_id="call00001")
    other = say("tool", "12:00", name="clock", tool_call_id="call00003")
    return {
        "a call": [USER, first],
        "a call and its result": [SYSTEM, USER, first, result],
        "calls": [USER, first, result, ANSWER, USER, both, result, other, say("assistant", "Noon."), USER],
        "blank call": [USER, blank, other, ANSWER],
    }


def everything():
    """(name, keyword arguments of apply_chat_template, messages)"""
    for name, messages in MESSAGES.items():
        for prompt in (True, False):
            yield "%s, prompt %s" % (name, prompt), {"add_generation_prompt": prompt}, messages
    for as_text in (True, False):
        for name, messages in tool_messages(as_text).items():
            for tools in ([WEATHER, CLOCK], None):
                more = {"add_generation_prompt": True, "tools": tools}
                yield "%s, tools %s, text %s" % (name, bool(tools), as_text), more, messages
    turns = MESSAGES["turns"]
    for more in ({"tools": [WEATHER]}, {"enable_thinking": False}, {"enable_thinking": True}, {"thinking": True},
                 {"documents": [{"title": "One", "text": "A tale."}]}, {"date_string": "1 May 2026"}):
        yield "turns, %s" % ", ".join(more), {"add_generation_prompt": True, **more}, turns

"""Chat templates in the ways in which those of open models are written, and one conversation for all of them."""

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Which is the  largest planet?\n"},
    {"role": "assistant", "content": "Jupiter."},
    {"role": "user", "content": "And the smallest 🙂?"},
    {"role": "assistant", "content": "Mercury."},
]
WITHOUT_SYSTEM = TALK[1:]

# Turns between marks, a default system message, and a prompt to go on from.
CHATML_LIKE = """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}
{{- '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' }}{% endif %}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

# Brackets around what is asked, the system message inside the first of them, refusal of what does not alternate.
BRACKETS = """{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}
{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}
{% set system_message = false %}{% endif %}{{ bos_token }}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif %}
    {%- if loop.index0 == 0 and system_message %}
        {%- set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}
    {%- else %}
        {%- set content = message['content'] %}
    {%- endif %}
    {%- if message['role'] == 'user' %}{{ '[INST] ' + content.strip() + ' [/INST]' }}
    {%- elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}
{%- endfor %}"""

# Headers, the date of today, contents with white space taken off, and a namespace.
HEADERS = """{{- bos_token }}
{%- set ns = namespace(turns=0) %}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: ' + strftime_now('%d %b %Y') + '\\n\\n' }}
    {%- else %}
        {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' }}
        {%- set ns.turns = ns.turns + 1 %}
    {%- endif %}
    {{- message.content | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

# The assistant is called otherwise, and a macro.
MODEL_TURNS = """{%- macro say(role, content) -%}
<start_of_turn>{{ role }}
{{ content | trim }}<end_of_turn>
{% endmacro -%}
{{ bos_token }}{% for message in messages if message.role != 'system' %}
{{- say('model' if message.role == 'assistant' else message.role, message.content) }}{% endfor %}
{%- if add_generation_prompt %}<start_of_turn>model
{% endif %}"""

# What was thought is left out of earlier turns, so that a conversation does not begin like its own beginning.
THINKING = """{%- set ns = namespace(last=-1) %}
{%- for message in messages %}{% if message.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.role == 'assistant' and loop.index0 > ns.last %}{{- '<think>\\n\\n</think>\\n\\n' }}{% endif %}
    {{- message.content.split('</think>')[-1].lstrip('\\n') + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"""

# Says itself what the assistant says.
GENERATION = """{% for message in messages %}
{{- '<|' + message.role + '|>\\n' }}
{%- if message.role == 'assistant' %}{% generation %}{{ message.content + eos_token }}{% endgeneration %}
{%- else %}{{ message.content + eos_token }}{% endif %}
{{- '\\n' }}{% endfor %}"""

# What tools are called with, as JSON.
TOOLS = """{% for message in messages %}{{ message.role }}: {{ message.content }}
{%- if message.tool_calls is defined %}{{ message.tool_calls | tojson(indent=2) }}{% endif %}
{%- if tools is not none %}never{% endif %};
{% endfor %}"""

SAID = {
    "chatml": (CHATML_LIKE, ["Jupiter.<|im_end|>\n", "Mercury.<|im_end|>\n"]),
    "brackets": (BRACKETS, [" Jupiter. </s>", " Mercury. </s>"]),
    "headers": (HEADERS, ["Jupiter.<|eot_id|>", "Mercury.<|eot_id|>"]),
    "model_turns": (MODEL_TURNS, ["Jupiter.<end_of_turn>\n", "Mercury.<end_of_turn>\n"]),
    "thinking": (THINKING, ["Jupiter.<|im_end|>\n", "<think>\n\n</think>\n\nMercury.<|im_end|>\n"]),
    "generation": (GENERATION, ["Jupiter.</s>", "Mercury.</s>"]),
}

HOSTILE = {
    "runs code": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "runs code by attr": "{{ messages|attr('__class__') }}{{ ().__class__.__base__.__subclasses__()[0] }}",
    "reads globals": "{{ raise_exception.__globals__['__builtins__']['open']('/etc/passwd').read() }}",
    "imports": "{{ self.__init__.__globals__.__builtins__.__import__('os').system('id') }}",
    "format string": "{{ '{0.__class__.__init__.__globals__}'.format(raise_exception) }}",
    "cycler": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "generator": "{{ (messages|map('upper')).gi_frame.f_globals }}",
    "loads a file": "{% include '/etc/passwd' %}",
    "changes messages": "{{ messages.append(1) }}",
    "loops for ever": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "endless text": "{% for a in range(99999) %}{{ 'x' * 99999 }}{% endfor %}",
    "doubles": "{% set ns = namespace(x='xxxxxxxx') %}{% for a in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "large text": "{{ 'x' * 99999999999 }}",
    "large number": "{{ 9 ** (9 ** 9) }}",
    "wide": "{{ '%99999999999d' % 1 }}",
    "wide by filter": "{{ 'x' | center(99999999999) }}",
    "calls itself": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "no template": "{% for %}",
    "no end": "{% for m in messages %}",
    "unknown tag": "{% do messages %}",
    "unknown filter": "{{ messages | shell }}",
    "fails": "{{ 1 / 0 }}",
    "wrong type": "{{ messages + 1 }}",
    "refuses": "{{ raise_exception('no such role') }}",
}

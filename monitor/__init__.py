"""The shell: config, store, steps, daemon, web, commands.

Each module may import only what stands above it in the plan; import-linter keeps the order.
"""

"""The compiler: seven stages in one direction. `compiled` runs the last three.

compiled(plan(graph, resolve(graph, query)), context)
"""

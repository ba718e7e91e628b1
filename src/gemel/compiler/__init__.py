"""The compiler: seven stages, one way; `compiled` goes through the last three.

compiled(plan(graph, resolve(graph, query)), context)
"""

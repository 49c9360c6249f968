"""What happens in a run, as Python objects: channels, payloads, public rows and results.

Imports base. Begin with ``emitters`` (which events there are and how to listen), then ``payloads`` (what a
listener gets) and ``results`` (what a run yields).
"""

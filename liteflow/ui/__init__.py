"""The dashboard: pages of a store, served to a browser of this machine; they only look.

bytes --server--> Request --gate--> Passed --answers--> History's rows --pages--> HTML
"""

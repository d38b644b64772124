"""Reads a paste before its lines are judged: whose words, which machine, and is it over?"""
